#include "fuse/files/tick_files.h"

#include <poll.h>

#include <cerrno>
#include <utility>

namespace vprocfs {

void keep_for_tick(fuse_attr_out& out, uint64_t taken_us, uint64_t tick_us) {
  const uint64_t now = boottime_us();
  const uint64_t until = taken_us + tick_us;
  const uint64_t left_us = until > now ? until - now : 0;
  set_time(left_us * 1000, out.attr_valid, out.attr_valid_nsec);
}

Answer refuse_open() { return Answer::tell(ENOSYS); }

Result<Container::RecentText> TickFiles::render(const View& view, Container* container,
                                                const Container::MadeOf& before) {
  counters().renders.fetch_add(1, std::memory_order_relaxed);
  const uint64_t now = boottime_us();
  if (container) return container->render_recent(view, now, options().tick_us, before);
  auto text = parts_.host.raw(std::string(view.path));
  if (!text) return text.error();
  return Container::RecentText{std::move(text.value()), {}, now};
}

Result<CachedTextPtr> TickFiles::snapshot(const View& view, Container& container, bool any_age) {
  const uint64_t now = boottime_us();
  ContainerFiles& files = ContainerFiles::of(container);
  CachedTextPtr present = files.cached_text(view.index);
  if (present && (any_age || now < present->taken_us + options().tick_us)) return present;
  auto text = render(view, &container, present ? present->made_of : Container::MadeOf{});
  if (!text) {
    // Not the figures of a moment ago either, when there are none any more.
    if (text.error().code == EOPNOTSUPP) files.drop_text(view.index);
    return text.error();
  }
  // Older than `now` where other files needed the same figures: its tick ends the sooner.
  if (text.value().text) return files.set_tick_text(view, std::move(text.value()));
  present->taken_us = text.value().taken_us;
  return present;
}

Answer TickFiles::entry(const Request& r, NodeId node, const ContainerPtr& owner,
                        uint64_t valid_s) {
  const View& view = *parts_.tree.file(node.index());
  if (!owner) return entry_of(node, attributes_of(node, mode_of(view), kUnknownSize), 0);
  // Attributes are of a snapshot: taking the first one may block.
  if (ContainerFiles::of(*owner).cached_text(view.index)) {
    return first_entry(node, view, owner, valid_s);
  }
  return in_turn_of_directory(r, owner, [this, node, &view, owner, valid_s](const Request&) {
    return first_entry(node, view, owner, valid_s);
  });
}

Answer TickFiles::first_entry(NodeId node, const View& view, const ContainerPtr& container,
                              uint64_t valid_s) {
  // Those of the snapshot that is in the page cache: any others would empty it.
  const auto text = snapshot(view, *container, true);
  const bool refused = !text && text.error().code == EOPNOTSUPP;
  if (!text && !refused) return Answer::error(text.error());
  const fuse_attr attr = refused ? attributes_of(node, mode_of(view), kUnknownSize)
                                 : attributes_of(node, mode_of(view), text.value()->text.size(),
                                                 text.value()->modified_ns);
  return entry_of(node, attr, valid_s);
}

Answer TickFiles::attributes_in_turn(const Request&, NodeId node, const View& view,
                                     const ContainerPtr& container) {
  if (!container || node.container().none()) {
    const auto text = render(view, container.get());
    // A file that says EOPNOTSUPP is there all the same.
    const bool refused = !text && text.error().code == EOPNOTSUPP;
    if (!text && !refused) return Answer::error(text.error());
    return answer_attributes(node, view, refused ? kUnknownSize : text.value().text->size());
  }
  const auto text = snapshot(view, *container, false);
  if (!text && text.error().code == EOPNOTSUPP) return answer_attributes(node, view, kUnknownSize);
  if (!text) return Answer::error(text.error());
  const CachedText& s = *text.value();
  fuse_attr_out out{};
  out.attr = attributes_of(node, mode_of(view), s.text.size(), s.modified_ns);
  keep_for_tick(out, s.taken_us, options().tick_us);
  return Answer::of(out);
}

Answer TickFiles::open(const Request&) { return refuse_open(); }

Answer TickFiles::open_in_turn(const Request& r, const View&, const ContainerPtr&) {
  return open(r);
}

Answer TickFiles::read(const Request& r) {
  // The bytes of the attributes that the kernel has, however old they are by now.
  const auto kept = [](const View& view, ContainerFiles& files) {
    return files.cached_text(view.index);
  };
  return read_for_cache(r, kept, [this](const View& view, Container& container) {
    return snapshot(view, container, true);
  });
}

Answer TickFiles::write(const Request& r) {
  // Nobody tells us of opens and closes: nothing to hang a trigger on.
  if (takes_triggers(*parts_.tree.file(node_of(r).index()))) return Answer::error(EOPNOTSUPP);
  return Files::write(r);
}

Answer TickFiles::poll(const Request& r) {
  const bool fails = takes_triggers(*parts_.tree.file(node_of(r).index()));
  return answer_poll(fails ? POLLERR | POLLPRI : 0);
}

}  // namespace vprocfs
