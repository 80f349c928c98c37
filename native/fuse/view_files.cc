#include "fuse/view_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

namespace vprocfs {

uint32_t ViewFiles::mode_of(const View& view) const { return S_IFREG | view.mode; }

void ViewFiles::attributes(const Request& r) {
  const NodeId node = node_of(r);
  const View* view = serving_.tree.file(node.index());
  auto container = serving_.container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, node, view, owner](const Request& req) {
    attributes_in_turn(req, node, *view, owner);
  });
}

void ViewFiles::open(const Request& r) {
  const auto* in = r.arg<fuse_open_in>();
  const NodeId node = node_of(r);
  const View* view = serving_.tree.file(node.index());
  // The kernel leaves permissions to us. As for proc's files, only root passes where bits forbid.
  const bool wants_write = (in->flags & O_ACCMODE) != O_RDONLY;
  const bool may_write = (view->mode & 0002) != 0;
  const bool may_read = (view->mode & 0004) != 0;
  if (r.header().uid != 0 && ((wants_write && !may_write) || !may_read)) return fail(r, EACCES);
  auto container = serving_.container_of(r, node);
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  in_turn(r, owner, [this, view, owner](const Request& req) { open_in_turn(req, *view, owner); });
}

void ViewFiles::answer_attributes(const Request& r, NodeId node, const View& view, uint64_t size) {
  fuse_attr_out out{};
  out.attr = attributes_of(node, mode_of(view), size);
  answer(r, out);
}

void ViewFiles::answer_entry(const Request& r, NodeId node, const fuse_attr& attr,
                             uint64_t valid_s) {
  fuse_entry_out out{};
  out.nodeid = node.raw();
  out.attr = attr;
  out.entry_valid = valid_s;
  answer(r, out);
}

}  // namespace vprocfs
