#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "fuse/files/container_files.h"
#include "fuse/files/mirror_files.h"
#include "fuse/files/tick_files.h"

namespace vprocfs {

Result<CachedTextPtr> TickMirrorFiles::snapshot(NodeId node, const ContainerPtr& container,
                                                const std::string& path, bool any_age) {
  const uint64_t now = boottime_us();
  ContainerFiles& files = ContainerFiles::of(*container);
  CachedTextPtr present = files.mirror_text(node.number());
  if (present && (any_age || now < present->taken_us + options().tick_us)) return present;
  auto text = text_of(path, container);
  if (!text) {
    // The READ that follows is to say why, and not what it said before.
    files.drop_mirror_text(node.number());
    return text.error();
  }
  return files.set_mirror_text(node.number(), std::move(text.value()), Mirror::growth(path), now);
}

uint64_t TickMirrorFiles::fill_attributes(NodeId node, const ContainerPtr& container,
                                          const std::string& path, bool any_age, fuse_attr& attr) {
  const auto text = snapshot(node, container, path, any_age);
  // What cannot be read has no content: the READ says why.
  if (!text) return boottime_us();
  attr.size = text.value()->text.size();
  set_modified(text.value()->modified_ns, attr);
  return text.value()->taken_us;
}

void TickMirrorFiles::complete_entry(NodeId node, const ContainerPtr& container,
                                     const std::string& path, bool may_vanish,
                                     fuse_entry_out& out) {
  if (container && S_ISREG(out.attr.mode)) {
    fill_attributes(node, container, path, true, out.attr);
    out.attr_valid = 0;
  }
  if (may_vanish) set_time(options().tick_us * 1000, out.entry_valid, out.entry_valid_nsec);
}

Answer TickMirrorFiles::complete_attributes(const Request& r, NodeId node, const std::string& path,
                                            const fuse_attr_out& out) {
  if (node.container().none() || !S_ISREG(out.attr.mode)) {
    return MirrorFiles::complete_attributes(r, node, path, out);
  }
  return in_turn_of_owner(r, [this, node, path, out](const Request&, auto& owner) {
    fuse_attr_out completed = out;
    const uint64_t taken_us = fill_attributes(node, owner, path, false, completed.attr);
    keep_for_tick(completed, taken_us, options().tick_us);
    return Answer::of(completed);
  });
}

Answer TickMirrorFiles::open(const Request&) { return refuse_open(); }

Answer TickMirrorFiles::read(const Request& r) {
  const NodeId node = node_of(r);
  const auto path = path_of(node);
  auto container = parts_.container_of(r, node);
  if (!path || !container) return Answer::error(ESTALE);
  const ContainerPtr owner = std::move(container.value());
  // As in ViewFiles::read_for_cache().
  if (!owner) return Answer::error(EINVAL);
  const auto answer_text = [this, node, owner, path = *path](const Request& req) {
    const auto text = snapshot(node, owner, path, true);
    if (!text) return Answer::error(text.error().code);
    return slice(req, text.value()->text, text.value());
  };
  if (ContainerFiles::of(*owner).mirror_text(node.number())) return answer_text(r);
  return in_turn(r, owner, answer_text);
}

}  // namespace vprocfs
