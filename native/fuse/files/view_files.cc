#include "fuse/files/view_files.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

namespace vprocfs {

Answer ViewFiles::attributes(const Request& r) {
  const NodeId node = node_of(r);
  const View* view = parts_.tree.file(node.index());
  return in_turn_of_owner(r, [this, node, view](const Request& req, auto& owner) {
    return attributes_in_turn(req, node, *view, owner);
  });
}

Answer ViewFiles::open(const Request& r) {
  const auto* in = r.arg<fuse_open_in>();
  const View* view = parts_.tree.file(node_of(r).index());
  // The kernel leaves permissions to us. As for proc's files, only root passes where bits forbid.
  const bool wants_write = (in->flags & O_ACCMODE) != O_RDONLY;
  const bool may_write = (view->mode & 0002) != 0;
  const bool may_read = (view->mode & 0004) != 0;
  if (r.header().uid != 0 && ((wants_write && !may_write) || !may_read))
    return Answer::error(EACCES);
  const bool changes = wants_write || (in->flags & O_TRUNC) != 0;
  if (changes && is_of_sysfs(*view)) return Answer::error(EROFS);
  return in_turn_of_owner(
      r, [this, view](const Request& req, auto& owner) { return open_in_turn(req, *view, owner); });
}

Answer ViewFiles::read_for_cache(const Request& r, const KeptText& kept, const TextOf& text_of) {
  const NodeId node = node_of(r);
  const View* view = parts_.tree.file(node.index());
  auto container = parts_.container_of(r, node);
  if (!container) return Answer::error(container.error());
  const ContainerPtr owner = std::move(container.value());
  // With O_DIRECT a caller is known also here, and may be a process of the host.
  if (!owner) return Answer::error(EINVAL);
  if (const CachedTextPtr text = kept(*view, ContainerFiles::of(*owner))) {
    owner->requests.fetch_add(1, std::memory_order_relaxed);
    return slice(r, text->text, text);
  }
  // After a takeover there is none yet, and making one may block.
  return in_turn(r, owner, [view, owner, text_of](const Request& req) {
    const auto text = text_of(*view, *owner);
    if (!text) return Answer::error(text.error());
    return slice(req, text.value()->text, text.value());
  });
}

Answer ViewFiles::answer_attributes(NodeId node, const View& view, uint64_t size) const {
  fuse_attr_out out{};
  out.attr = attributes_of(node, mode_of(view), size);
  return Answer::of(out);
}

}  // namespace vprocfs
