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

void Server::open_cached(const Request& r, const View& view, const ContainerPtr& container) {
  bool changed = false;
  counters_.renders.fetch_add(1, std::memory_order_relaxed);
  auto text = container->limits_text(view, boottime_us(), changed);
  if (!text) return fail(r, text.error());
  fuse_open_out out{};
  out.fh = kCachedHandle;
  out.open_flags = FOPEN_KEEP_CACHE;
  const uint64_t unique = r.header().unique;
  if (!changed) {
    reply_.value(unique, out);
    return;
  }
  notifier_.post([this, unique, out, node = r.header().nodeid, now = text.value()] {
    replace_cached(node, *now);
    reply_.value(unique, out);
  });
}

void Server::cached_attributes(const Request& r, NodeId node, const View& view,
                               const ContainerPtr& container) {
  bool changed = false;
  auto text = container->limits_text(view, boottime_us(), changed);
  if (!text) return fail(r, text.error());
  fuse_attr_out out{};
  out.attr = tick_attr(node, view, *text.value());
  // Forgotten by notice, not by time.
  out.attr_valid = kForeverSeconds;
  const uint64_t unique = r.header().unique;
  if (!changed) {
    reply_.value(unique, out);
    return;
  }
  notifier_.post([this, unique, out, raw = node.raw(), now = text.value()] {
    replace_cached(raw, *now);
    reply_.value(unique, out);
  });
}

void Server::cached_read(const Request& r, const View& view, const ContainerPtr& container) {
  const auto* in = r.arg<fuse_read_in>();
  CachedTextPtr text = container->cached_text(view.index);
  if (!text) {
    bool changed = false;
    auto made = container->limits_text(view, boottime_us(), changed);
    if (!made) return fail(r, made.error());
    text = std::move(made.value());
  }
  const std::string_view bytes = OpenFiles::slice(text->text, in->offset, in->size);
  reply_.data(r.header().unique, bytes.data(), bytes.size());
}

void Server::limits_changed() {
  if (tick_) return;
  for (const auto& container : registry_.known()) {
    // Its next OPEN looks anyway; one whose source blocks must not keep the others waiting.
    if (container->busy()) continue;
    for (const View* view = views_begin(); view != views_end(); ++view) {
      if (view->changes != Changes::kWithLimits || !container->cached_text(view->index)) continue;
      bool changed = false;
      const auto text = container->limits_text(*view, boottime_us(), changed);
      if (!text || !changed) continue;
      const NodeId node(container->id(), static_cast<NodeIndex>(kFirstFileIndex + view->index));
      notifier_.post([this, raw = node.raw(), now = text.value()] { replace_cached(raw, *now); });
    }
  }
}

}  // namespace vprocfs
