#include "fuse/files/cached_files.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace vprocfs {

void CachedFiles::replace(const View& view, NodeId node, Container& container,
                          const CachedText& now) {
  AnnouncedSize& announced = announced_size(container, view);
  const auto before = announced.mark();
  reply().notify_forget(node.raw());
  // read(2) asks for the size anew, sendfile(2) does not.
  if (!now.text.empty()) {
    reply().notify_grow(node.raw(), now.text.size(), now.text.back());
    announced.note(before, now.text.size());
  }
  ContainerFiles::of(container).copy_settled(view.index);
}

void CachedFiles::grow(const View& view, NodeId node, Container& container) {
  AnnouncedSize& announced = announced_size(container, view);
  const auto before = announced.mark();
  const uint64_t size = ContainerFiles::of(container).settled_size(view.index);
  if (before.size() >= size) return;
  // All of these files end with a line.
  reply().notify_grow(node.raw(), size, '\n');
  announced.note(before, size);
}

Answer CachedFiles::after_copy(Answer answer, Copy copy, NodeId node, const ContainerPtr& container,
                               const CachedTextPtr& now) {
  const View& view = *parts_.tree.file(node.index());
  const uint64_t size = ContainerFiles::of(*container).kernel_size(view.index);
  const bool replaces = copy.use == ContainerFiles::CopyUse::kReplace;
  const bool cut = announced_size(*container, view).size() < size;
  if (!replaces && !cut && !copy.settling && !copy.truncates) return answer;
  return std::move(answer).after_notice(lane_of(*container), [=, &view] {
    if (replaces) {
      replace(view, node, *container, *now);
    } else {
      grow(view, node, *container);
    }
    // The kernel takes the file for empty once this is answered.
    if (copy.truncates) announced_size(*container, view).tell(0);
  });
}

Answer CachedFiles::entry(const Request&, NodeId node, const ContainerPtr& owner,
                          uint64_t valid_s) {
  const View& view = *parts_.tree.file(node.index());
  // The size of what the kernel caches must not change with a look-up.
  const uint64_t cached = ContainerFiles::of(*owner).kernel_size(view.index);
  const uint64_t size =
      cached != 0 ? cached : announced_size(*owner, view).tell_again(kUnknownSize);
  return entry_of(node, attributes_of(node, mode_of(view), size), valid_s);
}

Answer CachedFiles::open_in_turn(const Request& r, const View& view,
                                 const ContainerPtr& container) {
  counters().renders.fetch_add(1, std::memory_order_relaxed);
  ContainerFiles& files = ContainerFiles::of(*container);
  auto text = files.limits_text(view, boottime_us(), options().tick_us);
  if (!text) return Answer::error(text.error());
  bool settling = false;
  const auto use = files.hold_copy(view.index, text.value(), settling);
  const bool truncates = (r.arg<fuse_open_in>()->flags & O_TRUNC) != 0;
  const Copy copy{use, settling, truncates};
  // What reads the kernel's copy holds nothing here, and is not counted.
  if (use == ContainerFiles::CopyUse::kOwn) {
    if (parts_.full(container)) return Answer::error(ENFILE);
    // To announce a greater size would make the copy longer too. Who reads that goes on with what
    // the kernel has: after a takeover nobody else may have it.
    Answer own = snapshots_.finish_open(r, std::make_shared<OpenFile>(node_of(r), &view, container),
                                        text.value()->text, FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE);
    return after_copy(std::move(own), copy, node_of(r), container, text.value());
  }
  fuse_open_out out{};
  out.fh = cached_handle_;
  out.open_flags = FOPEN_KEEP_CACHE;
  Answer opened = Answer::of(out).or_undo(
      [container, index = view.index] { ContainerFiles::of(*container).drop_copy(index); });
  return after_copy(std::move(opened), copy, node_of(r), container, text.value());
}

Answer CachedFiles::attributes_in_turn(const Request&, NodeId node, const View& view,
                                       const ContainerPtr& container) {
  ContainerFiles& files = ContainerFiles::of(*container);
  auto text = files.limits_text(view, boottime_us(), options().tick_us);
  if (!text) return Answer::error(text.error());
  bool settling = false;
  const auto use = files.hold_copy(view.index, text.value(), settling);
  const bool own = use == ContainerFiles::CopyUse::kOwn;
  if (!own) files.drop_copy(view.index);
  // What the kernel keeps must be told of: sizes of another text would cut that one.
  const CachedTextPtr copy = own ? files.kernel_copy(view.index) : nullptr;
  // Nothing is known of it where a worker died while it was being replaced.
  const uint64_t kept = own ? files.kernel_size(view.index) : 0;
  const uint64_t size = kept != 0 ? kept : text.value()->text.size();
  fuse_attr_out out{};
  out.attr = attributes_of(node, mode_of(view), size, (copy ? copy : text.value())->modified_ns);
  // Forgotten by notice, not by time.
  out.attr_valid = kForeverSeconds;
  return after_copy(Answer::of(out), {use, settling, false}, node, container, text.value());
}

Answer CachedFiles::read(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  // All readers share the page cache, those with a snapshot of their own too: without a lock owner
  // it is filled, and only with the kernel's copy.
  const bool cached = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
  if (!cached && OpenFiles::is_handle(in->fh)) return snapshots_.read(r);
  const auto kept = [](const View& view, ContainerFiles& files) {
    return files.kernel_copy(view.index);
  };
  return read_for_cache(r, kept, [=](const View& view, Container& of) -> Result<CachedTextPtr> {
    ContainerFiles& files = ContainerFiles::of(of);
    if (CachedTextPtr copy = kept(view, files)) return copy;
    return files.limits_text(view, boottime_us(), options().tick_us);
  });
}

Answer CachedFiles::release(const Request& r) {
  const uint64_t handle = r.arg<fuse_release_in>()->fh;
  if (OpenFiles::is_handle(handle)) return snapshots_.release(r);
  const bool own = handle == cached_handle_;
  // A worker before this one may have counted it already. If not, its reader counts for a while.
  if (!own && r.resent()) return Answer::ok();
  const NodeId node = node_of(r);
  const View& view = *parts_.tree.file(node.index());
  if (const auto container = parts_.registry.known(node.container())) {
    ContainerFiles::of(*container).drop_copy(view.index, own);
  }
  return Answer::ok();
}

bool CachedFiles::has_copies(Container& container) const {
  ContainerFiles& files = ContainerFiles::of(container);
  return std::any_of(views_begin(), views_end(),
                     [&](const View& view) { return is_copied(view, files); });
}

/// The kernel's copy is of the connection that has the file.
bool CachedFiles::is_copied(const View& view, ContainerFiles& files) const {
  return view.changes == Changes::kWithLimits && files.kernel_size(view.index) != 0 &&
         parts_.tree.file(static_cast<NodeIndex>(kFirstFileIndex + view.index)) != nullptr;
}

bool CachedFiles::limits_changed(const ContainerPtr& container) {
  // Its next OPEN looks anyway.
  if (container->busy()) return false;
  ContainerFiles& files = ContainerFiles::of(*container);
  for (const View* view = views_begin(); view != views_end(); ++view) {
    if (!is_copied(*view, files)) continue;
    // Clock rates may be others by now, which no limit decides: the next OPEN looks at them.
    const auto shown = container->shown_cpus(boottime_us(), options().tick_us);
    if (!shown || files.is_copy_for(view->index, shown.value())) continue;
    const auto text = files.limits_text(*view, boottime_us(), options().tick_us);
    if (!text || !files.kernel_has_other(view->index, text.value()->text)) continue;
    if (!files.queue_renewal(view->index)) continue;
    // All of it in the lane: whoever is told that a replacement is under way queues behind it.
    const NodeId node(container->id(), static_cast<NodeIndex>(kFirstFileIndex + view->index));
    parts_.notifier.post(lane_of(*container),
                         [this, view, node, container] { renew(*view, node, container); });
  }
  return true;
}

void CachedFiles::renew(const View& view, NodeId node, const ContainerPtr& container) {
  ContainerFiles& files = ContainerFiles::of(*container);
  files.begin_renewal(view.index);
  const auto text = files.limits_text(view, boottime_us(), options().tick_us);
  if (!text) return;
  bool settling = false;
  const auto use = files.hold_copy(view.index, text.value(), settling);
  if (use == ContainerFiles::CopyUse::kOwn) return;
  files.drop_copy(view.index);
  if (use == ContainerFiles::CopyUse::kReplace) replace(view, node, *container, *text.value());
}

}  // namespace vprocfs
