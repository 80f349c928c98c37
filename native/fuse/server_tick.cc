#include <cerrno>
#include <utility>

#include "fuse/server.h"

namespace vprocfs {
namespace {

constexpr uint64_t kNsPerSecond = 1000000000;

}  // namespace

Result<CachedTextPtr> Server::tick_snapshot(const View& view, const ContainerPtr& container,
                                            bool any_age) {
  const uint64_t now = boottime_us();
  CachedTextPtr present = ContainerFiles::of(*container).cached_text(view.index);
  if (present && (any_age || now < present->taken_us + options_.tick_us)) return present;
  auto text = render(view, container);
  if (!text) {
    // Not the figures of a moment ago either, when there are none any more.
    if (text.error().code == EOPNOTSUPP) ContainerFiles::of(*container).drop_text(view.index);
    return text.error();
  }
  return ContainerFiles::of(*container).set_tick_text(view, std::move(text.value()), now);
}

fuse_attr Server::tick_attr(NodeId node, const View& view, const CachedText& snapshot) const {
  fuse_attr attr = attributes(node, &view, snapshot.text.size());
  attr.mtime = attr.ctime = snapshot.modified_ns / kNsPerSecond;
  attr.mtimensec = attr.ctimensec = static_cast<uint32_t>(snapshot.modified_ns % kNsPerSecond);
  return attr;
}

void Server::tick_attributes(const Request& r, NodeId node, const View& view,
                             const ContainerPtr& container) {
  auto snapshot = tick_snapshot(view, container, false);
  fuse_attr_out out{};
  if (!snapshot && snapshot.error().code == EOPNOTSUPP) {
    out.attr = attributes(node, &view, kUnknownSize);
    reply_.value(r.header().unique, out);
    return;
  }
  if (!snapshot) return fail(r, snapshot.error());
  const CachedText& s = *snapshot.value();
  out.attr = tick_attr(node, view, s);
  // What is left of its tick: until then the kernel asks nobody.
  const uint64_t now = boottime_us();
  const uint64_t until = s.taken_us + options_.tick_us;
  const uint64_t left_us = until > now ? until - now : 0;
  out.attr_valid = left_us / 1000000;
  out.attr_valid_nsec = static_cast<uint32_t>(left_us % 1000000 * 1000);
  reply_.value(r.header().unique, out);
}

void Server::tick_read(const Request& r, const View& view, const ContainerPtr& container) {
  const auto* in = r.arg<fuse_read_in>();
  // The bytes of the attributes that the kernel has, however old they are by now.
  auto snapshot = tick_snapshot(view, container, true);
  if (!snapshot) return fail(r, snapshot.error());
  const std::string_view bytes = OpenFiles::slice(snapshot.value()->text, in->offset, in->size);
  reply_.data(r.header().unique, bytes.data(), bytes.size());
}

}  // namespace vprocfs
