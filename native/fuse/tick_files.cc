#include "fuse/tick_files.h"

#include <poll.h>

#include <cerrno>
#include <utility>

namespace vprocfs {

void refuse_opens(const Reply& reply, const Request& r) { reply.error(r.header().unique, ENOSYS); }

/// Nothing can be written.
uint32_t TickFiles::mode_of(const View& view) const { return ViewFiles::mode_of(view) & ~0222u; }

Result<std::string> TickFiles::render(const View& view, const ContainerPtr& container) {
  counters().renders.fetch_add(1, std::memory_order_relaxed);
  if (!container) return serving_.host.raw(std::string(view.path));
  return container->render(view, boottime_us());
}

Result<CachedTextPtr> TickFiles::snapshot(const View& view, const ContainerPtr& container,
                                          bool any_age) {
  const uint64_t now = boottime_us();
  ContainerFiles& files = ContainerFiles::of(*container);
  CachedTextPtr present = files.cached_text(view.index);
  if (present && (any_age || now < present->taken_us + options().tick_us)) return present;
  auto text = render(view, container);
  if (!text) {
    // Not the figures of a moment ago either, when there are none any more.
    if (text.error().code == EOPNOTSUPP) files.drop_text(view.index);
    return text.error();
  }
  return files.set_tick_text(view, std::move(text.value()), now);
}

void TickFiles::entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) {
  const View& view = *serving_.tree.file(node.index());
  if (!owner) return answer_entry(r, node, attributes_of(node, mode_of(view), kUnknownSize), 0);
  // Attributes are of a snapshot: taking the first one may block.
  if (ContainerFiles::of(*owner).cached_text(view.index)) {
    return answer_first_entry(r, node, view, owner, valid_s);
  }
  in_turn(r, owner, [this, node, &view, owner, valid_s](const Request& req) {
    answer_first_entry(req, node, view, owner, valid_s);
  });
}

void TickFiles::answer_first_entry(const Request& r, NodeId node, const View& view,
                                   const ContainerPtr& container, uint64_t valid_s) {
  // Those of the snapshot that is in the page cache: any others would empty it.
  const auto text = snapshot(view, container, true);
  const bool refused = !text && text.error().code == EOPNOTSUPP;
  if (!text && !refused) return fail(r, ENOENT);
  const fuse_attr attr = refused ? attributes_of(node, mode_of(view), kUnknownSize)
                                 : attributes_of(node, mode_of(view), text.value()->text.size(),
                                                 text.value()->modified_ns);
  answer_entry(r, node, attr, valid_s);
}

void TickFiles::attributes_in_turn(const Request& r, NodeId node, const View& view,
                                   const ContainerPtr& container) {
  fuse_attr_out out{};
  const auto answer_size = [&](uint64_t size) {
    out.attr = attributes_of(node, mode_of(view), size);
    answer(r, out);
  };
  if (!container || node.container().none()) {
    const auto text = render(view, container);
    // A file that says EOPNOTSUPP is there all the same.
    const bool refused = !text && text.error().code == EOPNOTSUPP;
    if (!text && !refused) return fail(r, text.error());
    return answer_size(refused ? kUnknownSize : text.value().size());
  }
  const auto text = snapshot(view, container, false);
  if (!text && text.error().code == EOPNOTSUPP) return answer_size(kUnknownSize);
  if (!text) return fail(r, text.error());
  const CachedText& s = *text.value();
  out.attr = attributes_of(node, mode_of(view), s.text.size(), s.modified_ns);
  // What is left of its tick: until then the kernel asks nobody.
  const uint64_t now = boottime_us();
  const uint64_t until = s.taken_us + options().tick_us;
  const uint64_t left_us = until > now ? until - now : 0;
  out.attr_valid = left_us / 1000000;
  out.attr_valid_nsec = static_cast<uint32_t>(left_us % 1000000 * 1000);
  answer(r, out);
}

void TickFiles::open(const Request& r) { refuse_opens(reply(), r); }

void TickFiles::open_in_turn(const Request& r, const View&, const ContainerPtr&) { open(r); }

void TickFiles::read(const Request& r) {
  const NodeId node = node_of(r);
  const View* view = serving_.tree.file(node.index());
  auto container = serving_.registry.by_id(node.container());
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  if (ContainerFiles::of(*owner).cached_text(view->index)) {
    owner->requests.fetch_add(1, std::memory_order_relaxed);
    return answer_read(r, *view, owner);
  }
  // After a takeover there is none yet, and making one may block.
  in_turn(r, owner, [this, view, owner](const Request& req) { answer_read(req, *view, owner); });
}

void TickFiles::answer_read(const Request& r, const View& view, const ContainerPtr& container) {
  // The bytes of the attributes that the kernel has, however old they are by now.
  const auto text = snapshot(view, container, true);
  if (!text) return fail(r, text.error());
  answer_slice(r, text.value()->text);
}

void TickFiles::write(const Request& r) {
  // Nobody tells us of opens and closes: nothing to hang a trigger on.
  if (takes_triggers(*serving_.tree.file(node_of(r).index()))) return fail(r, EOPNOTSUPP);
  Files::write(r);
}

uint32_t TickFiles::poll_events(const Request& r) {
  return takes_triggers(*serving_.tree.file(node_of(r).index())) ? POLLERR | POLLPRI : 0;
}

}  // namespace vprocfs
