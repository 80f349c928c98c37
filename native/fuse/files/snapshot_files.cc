#include "fuse/files/snapshot_files.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

namespace vprocfs {

std::optional<PidNamespaceClock> SnapshotFiles::clock_of(const Request& r, const View& view,
                                                         const ContainerPtr& container) {
  if (!container || (view.needs & kNeedClock) == 0) return std::nullopt;
  // The counters of these are the container's to everybody.
  const bool shows_boot = (view.needs & kNeedHostStat) != 0;
  const bool shows_age = !shows_boot && (view.needs & kNeedHostSchedstat) == 0;
  // To ask for the age makes another PID namespace known. That is not looked for at each open of
  // proc/stat, which mostly is the same to all.
  const bool shows_clock = shows_age || (shows_boot && container->has_several_clocks());
  if (!shows_clock) return std::nullopt;
  const PidNamespaceClock clock =
      parts_.registry.clock_of(*container, static_cast<pid_t>(r.header().pid));
  const bool is_containers =
      shows_age ? container->is_first(clock) : clock.offset_us == container->clock().offset_us;
  return is_containers ? std::nullopt : std::optional<PidNamespaceClock>(clock);
}

Result<std::string> SnapshotFiles::render(const View& view, const ContainerPtr& container,
                                          const std::optional<PidNamespaceClock>& clock) {
  if (container && clock) {
    counters().renders.fetch_add(1, std::memory_order_relaxed);
    return container->render_for(view, boottime_us(), *clock);
  }
  if (container) {
    bool made = false;
    auto text = container->render_shared(view, boottime_us(), options().tick_us, made);
    (made ? counters().renders : counters().shared).fetch_add(1, std::memory_order_relaxed);
    return text;
  }
  counters().renders.fetch_add(1, std::memory_order_relaxed);
  return parts_.host.raw(std::string(view.path));
}

ContainerFiles::LastOpen SnapshotFiles::last_open(const ContainerPtr& container, const View& view) {
  if (container) return ContainerFiles::of(*container).last_open(options().connection, view.index);
  const std::lock_guard lock(host_opens_mutex_);
  const auto it = host_opens_.find(view.index);
  return it == host_opens_.end() ? ContainerFiles::LastOpen{} : it->second;
}

bool SnapshotFiles::in_one_process(uint32_t thread, uint32_t other) const {
  const std::string path = "proc/" + std::to_string(thread) + "/task/" + std::to_string(other);
  return thread != 0 && other != 0 && parts_.host.raw(path + "/comm").ok();
}

Answer SnapshotFiles::entry(const Request&, NodeId node, const ContainerPtr& owner,
                            uint64_t valid_s) {
  const View& view = *parts_.tree.file(node.index());
  const uint64_t size =
      owner ? announced_size(*owner, view).tell_again(kUnknownSize) : kUnknownSize;
  return entry_of(node, attributes_of(node, mode_of(view), size), valid_s);
}

std::shared_ptr<OpenFile> SnapshotFiles::file_of_caller(const Request& r, NodeId node,
                                                        const ContainerPtr& container,
                                                        const View& view) {
  const auto* in = r.arg<fuse_getattr_in>();
  const bool is_named = r.header().opcode == FUSE_GETATTR && in != nullptr &&
                        (in->getattr_flags & FUSE_GETATTR_FH) != 0;
  // lseek(2) from the end, and for data and holes.
  if (auto named = is_named ? parts_.open_files.find(in->fh, node) : nullptr) return named;
  const auto last = last_open(container, view);
  auto file = parts_.open_files.find(last.handle, node);
  // libuv and others ask in another thread than they open in, and read no more than they are told.
  const bool is_callers =
      file && (last.pid == r.header().pid || in_one_process(last.pid, r.header().pid));
  return is_callers ? file : nullptr;
}

Answer SnapshotFiles::attributes_in_turn(const Request& r, NodeId node, const View& view,
                                         const ContainerPtr& container) {
  // fstat(2) and lseek(2) of what the caller has open must tell of the snapshot it will read:
  // tail(1) and others seek by it.
  if (const auto file = file_of_caller(r, node, container, view)) {
    if (OpenFiles::is_stale(*file, boottime_us(), options().tick_us)) {
      parts_.open_files.renew(*file, render(view, file->container, file->clock));
    }
    const uint64_t size = parts_.open_files.announce_size(*file);
    if (container) announced_size(*container, view).tell(size);
    return answer_attributes(node, view, size);
  }
  auto text = render(view, container);
  // A file that says EOPNOTSUPP is there all the same.
  const bool refused = !text && text.error().code == EOPNOTSUPP;
  if (!text && !refused) return Answer::error(text.error());
  const uint64_t size = refused ? kUnknownSize : text.value().size();
  if (container) announced_size(*container, view).tell(size);
  return answer_attributes(node, view, size);
}

Answer SnapshotFiles::open_in_turn(const Request& r, const View& view,
                                   const ContainerPtr& container) {
  if (parts_.full(container)) return Answer::error(ENFILE);
  const auto clock = clock_of(r, view, container);
  auto text = render(view, container, clock);
  if (!text) return Answer::error(text.error());
  const uint64_t size = text.value().size();
  const char last = size == 0 ? '\n' : text.value().back();
  const NodeId node = node_of(r);
  Answer answer = finish_open(r, std::make_shared<OpenFile>(node, &view, container, clock),
                              std::move(text.value()));
  if (!container || node.container().none()) return answer;
  if ((r.arg<fuse_open_in>()->flags & O_TRUNC) != 0) {
    // The kernel takes the file for empty once this is answered. Readers with sendfile(2) would get
    // nothing if the next open did not tell the size.
    announced_size(*container, view).tell(0);
    return answer;
  }
  if (announced_size(*container, view).size() >= size) return answer;
  // It counts as announced only then: whoever opens the file meanwhile waits for his own notice,
  // which has nothing left to do, or is left to the next worker as this one is.
  const uint16_t index = view.index;
  return std::move(answer).after_notice(lane_of(*container), [this, container, index, node, size,
                                                              last] {
    auto& announced = ContainerFiles::of(*container).announced_size(options().connection, index);
    const auto before = announced.mark();
    if (before.size() >= size) return;
    reply().notify_grow(node.raw(), size, last);
    announced.note(before, size);
  });
}

Answer SnapshotFiles::finish_open(const Request& r, const std::shared_ptr<OpenFile>& file,
                                  std::string text, uint32_t flags) {
  const uint64_t handle = parts_.open_files.insert(file, std::move(text), r.identity());
  const ContainerFiles::LastOpen last{handle, r.header().pid};
  if (file->container) {
    ContainerFiles::of(*file->container)
        .set_last_open(options().connection, file->view->index, last);
  } else {
    const std::lock_guard lock(host_opens_mutex_);
    host_opens_[file->view->index] = last;
  }
  return opened(handle, file->node, flags);
}

Answer SnapshotFiles::read(const Request& r) {
  const auto* in = r.arg<fuse_read_in>();
  const NodeId node = node_of(r);
  const bool cached = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
  const auto file = parts_.open_files.find(in->fh, node);
  if (!file) return reopen(r);
  file->note_read();
  const auto renewal =
      cached ? OpenFiles::Renewal::kNone
             : parts_.open_files.wants_renewal(*file, in->offset, boottime_us(), options().tick_us);
  if (renewal != OpenFiles::Renewal::kNone) {
    return in_turn(r, file->container, [this, file, renewal](const Request& req) {
      const auto clock =
          file->adopted() ? clock_of(req, *file->view, file->container) : file->clock;
      parts_.open_files.renew(*file, render(*file->view, file->container, clock), renewal);
      return read_file(req, file);
    });
  }
  if (file->container) file->container->requests.fetch_add(1, std::memory_order_relaxed);
  return read_file(r, file);
}

Answer SnapshotFiles::read_file(const Request& r, const std::shared_ptr<OpenFile>& file) {
  const auto* in = r.arg<fuse_read_in>();
  const auto snapshot = file->snapshot();
  const std::string_view bytes = OpenFiles::slice(snapshot->text(), in->offset, in->size);
  const bool cached = (in->read_flags & FUSE_READ_LOCKOWNER) == 0;
  if (cached && bytes.size() < in->size && file->container) {
    // The kernel takes a short read of the cache for the end of the file.
    announced_size(*file->container, *file->view).tell(snapshot->text().size());
  }
  return Answer::part(bytes, snapshot);
}

Answer SnapshotFiles::reopen(const Request& r) {
  // A handle of a worker whose state was lost: the node says whose file it is.
  const NodeId node = node_of(r);
  const View* view = parts_.tree.file(node.index());
  return in_turn_of_owner(r, [this, view, node](const Request& req, auto& owner) {
    const auto clock = clock_of(req, *view, owner);
    auto text = render(*view, owner, clock);
    if (!text) return Answer::error(text.error());
    const auto file = std::make_shared<OpenFile>(node, view, owner, clock);
    restore(req, file, std::move(text.value()));
    return or_close(req, read_file(req, file));
  });
}

}  // namespace vprocfs
