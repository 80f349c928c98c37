#include <cerrno>
#include <utility>

#include "fuse/server.h"

namespace vprocfs {

bool Server::cacheable(NodeId node, const View& view) const {
  return !tick_ && view.changes == Changes::kWithLimits && !node.container().none();
}

void Server::replace_cached(uint64_t nodeid, const CachedText& now) const {
  reply_.notify_forget(nodeid);
  // read(2) asks for the size anew, sendfile(2) does not.
  if (!now.text.empty()) reply_.notify_grow(nodeid, now.text.size(), now.text.back());
}

void Server::replace_copy(NodeId node, const ContainerPtr& container, const CachedTextPtr& now,
                          std::function<void()> after) {
  notifier_.post(lane_of(*container), [this, node, container, now, after = std::move(after)] {
    replace_cached(node.raw(), *now);
    ContainerFiles::of(*container)
        .copy_settled(static_cast<uint16_t>(node.index() - kFirstFileIndex));
    after();
  });
}

void Server::open_cached(const Request& r, const View& view, const ContainerPtr& container) {
  counters_.renders.fetch_add(1, std::memory_order_relaxed);
  auto text = ContainerFiles::of(*container).limits_text(view, boottime_us());
  if (!text) return fail(r, text.error());
  bool settling = false;
  const auto use = ContainerFiles::of(*container).hold_copy(view.index, text.value(), settling);
  // What reads the kernel's copy holds nothing here, and is not counted.
  if (use == ContainerFiles::CopyUse::kOwn) {
    if (full(container)) return fail(r, ENFILE);
    return finish_open(r, std::make_shared<OpenFile>(NodeId(r.header().nodeid), &view, container),
                       text.value()->text);
  }
  fuse_open_out out{};
  out.fh = kCachedHandle;
  out.open_flags = FOPEN_KEEP_CACHE;
  const auto answer = [this, unique = r.header().unique, out, container, index = view.index] {
    if (!reply_.value(unique, out)) ContainerFiles::of(*container).drop_copy(index);
  };
  if (use == ContainerFiles::CopyUse::kReplace) {
    return replace_copy(NodeId(r.header().nodeid), container, text.value(), answer);
  }
  if (settling) return notifier_.post(lane_of(*container), answer);
  answer();
}

void Server::cached_attributes(const Request& r, NodeId node, const View& view,
                               const ContainerPtr& container) {
  auto text = ContainerFiles::of(*container).limits_text(view, boottime_us());
  if (!text) return fail(r, text.error());
  bool settling = false;
  const auto use = ContainerFiles::of(*container).hold_copy(view.index, text.value(), settling);
  // What the kernel keeps must be told of: sizes of another text would cut that one.
  const CachedTextPtr told = use == ContainerFiles::CopyUse::kOwn
                                 ? ContainerFiles::of(*container).kernel_copy(view.index)
                                 : text.value();
  if (use != ContainerFiles::CopyUse::kOwn) ContainerFiles::of(*container).drop_copy(view.index);
  fuse_attr_out out{};
  out.attr = tick_attr(node, view, *told);
  // Forgotten by notice, not by time.
  out.attr_valid = kForeverSeconds;
  const auto answer = [this, unique = r.header().unique, out] { reply_.value(unique, out); };
  if (use == ContainerFiles::CopyUse::kReplace) {
    return replace_copy(node, container, text.value(), answer);
  }
  if (settling) return notifier_.post(lane_of(*container), answer);
  answer();
}

void Server::cached_read(const Request& r, const View& view, const ContainerPtr& container) {
  const auto* in = r.arg<fuse_read_in>();
  CachedTextPtr text = ContainerFiles::of(*container).kernel_copy(view.index);
  if (!text) {
    auto made = ContainerFiles::of(*container).limits_text(view, boottime_us());
    if (!made) return fail(r, made.error());
    text = std::move(made.value());
  }
  const std::string_view bytes = OpenFiles::slice(text->text, in->offset, in->size);
  reply_.data(r.header().unique, bytes.data(), bytes.size());
}

void Server::release(const Request& r) {
  const NodeId node(r.header().nodeid);
  const auto* in = r.arg<fuse_release_in>();
  const View* view = tree_.file(node.index());
  if (in->fh != kCachedHandle) {
    triggers_.release(in->fh, node);
    open_files_.erase(in->fh, node);
  } else if (view != nullptr) {
    if (const auto container = registry_.known(node.container())) {
      ContainerFiles::of(*container).drop_copy(view->index);
    }
  }
  reply_.ok(r.header().unique);
}

void Server::limits_changed() {
  if (tick_) return;
  for (const auto& container : registry_.known()) {
    // Its next OPEN looks anyway; one whose source blocks must not keep the others waiting.
    if (container->busy()) continue;
    for (const View* view = views_begin(); view != views_end(); ++view) {
      if (view->changes != Changes::kWithLimits ||
          !ContainerFiles::of(*container).kernel_copy(view->index))
        continue;
      // The kernel's copy is of the connection that has the file.
      const auto index = static_cast<NodeIndex>(kFirstFileIndex + view->index);
      if (tree_.file(index) == nullptr) continue;
      bool settling = false;
      const auto text = ContainerFiles::of(*container).limits_text(*view, boottime_us());
      if (!text) continue;
      const auto use =
          ContainerFiles::of(*container).hold_copy(view->index, text.value(), settling);
      if (use == ContainerFiles::CopyUse::kOwn) continue;
      ContainerFiles::of(*container).drop_copy(view->index);
      if (use == ContainerFiles::CopyUse::kShare) continue;
      replace_copy(NodeId(container->id(), index), container, text.value(), [] {});
    }
  }
}

}  // namespace vprocfs
