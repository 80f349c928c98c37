#include "fuse/cached_files.h"

#include <cerrno>
#include <utility>

namespace vprocfs {

void CachedFiles::replace_copy(NodeId node, const ContainerPtr& container, const CachedTextPtr& now,
                               std::function<void()> after) {
  serving_.notifier.post(lane_of(*container),
                         [this, node, container, now, after = std::move(after)] {
                           reply().notify_forget(node.raw());
                           // read(2) asks for the size anew, sendfile(2) does not.
                           if (!now->text.empty()) {
                             reply().notify_grow(node.raw(), now->text.size(), now->text.back());
                           }
                           const auto index = static_cast<uint16_t>(node.index() - kFirstFileIndex);
                           ContainerFiles::of(*container).copy_settled(index);
                           after();
                         });
}

void CachedFiles::entry(const Request& r, NodeId node, const ContainerPtr& owner,
                        uint64_t valid_s) {
  const View& view = *serving_.tree.file(node.index());
  auto& told = told_size(*owner, view);
  if (told == 0) told = kUnknownSize;
  // The size of what the kernel caches must not change with a look-up.
  const CachedTextPtr cached = ContainerFiles::of(*owner).cached_text(view.index);
  const uint64_t size = cached ? cached->text.size() : told.load();
  answer_entry(r, node, attributes_of(node, mode_of(view), size), valid_s);
}

void CachedFiles::open_in_turn(const Request& r, const View& view, const ContainerPtr& container) {
  counters().renders.fetch_add(1, std::memory_order_relaxed);
  ContainerFiles& files = ContainerFiles::of(*container);
  auto text = files.limits_text(view, boottime_us());
  if (!text) return fail(r, text.error());
  bool settling = false;
  const auto use = files.hold_copy(view.index, text.value(), settling);
  // What reads the kernel's copy holds nothing here, and is not counted.
  if (use == ContainerFiles::CopyUse::kOwn) {
    if (serving_.full(container)) return fail(r, ENFILE);
    return snapshots_.finish_open(r, std::make_shared<OpenFile>(node_of(r), &view, container),
                                  text.value()->text);
  }
  fuse_open_out out{};
  out.fh = kCachedHandle;
  out.open_flags = FOPEN_KEEP_CACHE;
  const auto send = [this, unique = r.header().unique, out, container, index = view.index] {
    if (!reply().value(unique, out)) ContainerFiles::of(*container).drop_copy(index);
  };
  if (use == ContainerFiles::CopyUse::kReplace) {
    return replace_copy(node_of(r), container, text.value(), send);
  }
  if (settling) return serving_.notifier.post(lane_of(*container), send);
  send();
}

void CachedFiles::attributes_in_turn(const Request& r, NodeId node, const View& view,
                                     const ContainerPtr& container) {
  ContainerFiles& files = ContainerFiles::of(*container);
  auto text = files.limits_text(view, boottime_us());
  if (!text) return fail(r, text.error());
  bool settling = false;
  const auto use = files.hold_copy(view.index, text.value(), settling);
  // What the kernel keeps must be told of: sizes of another text would cut that one.
  const CachedTextPtr told =
      use == ContainerFiles::CopyUse::kOwn ? files.kernel_copy(view.index) : text.value();
  if (use != ContainerFiles::CopyUse::kOwn) files.drop_copy(view.index);
  fuse_attr_out out{};
  out.attr = attributes_of(node, mode_of(view), told->text.size(), told->modified_ns);
  // Forgotten by notice, not by time.
  out.attr_valid = kForeverSeconds;
  const auto send = [this, unique = r.header().unique, out] { reply().value(unique, out); };
  if (use == ContainerFiles::CopyUse::kReplace) {
    return replace_copy(node, container, text.value(), send);
  }
  if (settling) return serving_.notifier.post(lane_of(*container), send);
  send();
}

void CachedFiles::read(const Request& r) {
  if (r.arg<fuse_read_in>()->fh != kCachedHandle) return snapshots_.read(r);
  const NodeId node = node_of(r);
  const View* view = serving_.tree.file(node.index());
  auto container = serving_.registry.by_id(node.container());
  if (!container) return fail(r, container.error());
  const ContainerPtr owner = std::move(container.value());
  if (ContainerFiles::of(*owner).cached_text(view->index)) {
    owner->requests.fetch_add(1, std::memory_order_relaxed);
    return answer_copy(r, *view, owner);
  }
  // After a takeover there is none yet, and making one may block.
  in_turn(r, owner, [this, view, owner](const Request& req) { answer_copy(req, *view, owner); });
}

void CachedFiles::answer_copy(const Request& r, const View& view, const ContainerPtr& container) {
  CachedTextPtr text = ContainerFiles::of(*container).kernel_copy(view.index);
  if (!text) {
    auto made = ContainerFiles::of(*container).limits_text(view, boottime_us());
    if (!made) return fail(r, made.error());
    text = std::move(made.value());
  }
  answer_slice(r, text->text);
}

void CachedFiles::release(const Request& r) {
  if (r.arg<fuse_release_in>()->fh != kCachedHandle) return snapshots_.release(r);
  const NodeId node = node_of(r);
  const View& view = *serving_.tree.file(node.index());
  if (const auto container = serving_.registry.known(node.container())) {
    ContainerFiles::of(*container).drop_copy(view.index);
  }
  reply().ok(r.header().unique);
}

void CachedFiles::limits_changed() {
  for (const auto& container : serving_.registry.known()) {
    // Its next OPEN looks anyway; one whose source blocks must not keep the others waiting.
    if (container->busy()) continue;
    ContainerFiles& files = ContainerFiles::of(*container);
    for (const View* view = views_begin(); view != views_end(); ++view) {
      if (view->changes != Changes::kWithLimits || !files.kernel_copy(view->index)) continue;
      // The kernel's copy is of the connection that has the file.
      const auto index = static_cast<NodeIndex>(kFirstFileIndex + view->index);
      if (serving_.tree.file(index) == nullptr) continue;
      bool settling = false;
      const auto text = files.limits_text(*view, boottime_us());
      if (!text) continue;
      const auto use = files.hold_copy(view->index, text.value(), settling);
      if (use == ContainerFiles::CopyUse::kOwn) continue;
      files.drop_copy(view->index);
      if (use == ContainerFiles::CopyUse::kShare) continue;
      replace_copy(NodeId(container->id(), index), container, text.value(), [] {});
    }
  }
}

}  // namespace vprocfs
