#include "fuse/files/kmsg_files.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/cpu_laps.h"
#include "fuse/files/open_file.h"

namespace vprocfs {

KmsgFiles::KmsgFiles(ServerParts& parts)
    : Files(parts),
      options_(parts.options.kernel_logs),
      logs_(*options_.logs),
      access_(options_.procfs_fd),
      next_handle_(OpenFiles::first_handle()) {}

void KmsgFiles::start() {
  listener_ = logs_.listen([this](ContainerId id) { note_change(id); });
}

void KmsgFiles::stop() {
  if (listener_ != 0) logs_.unlisten(std::exchange(listener_, 0));
}

void KmsgFiles::note_change(ContainerId id) {
  {
    const std::lock_guard lock(changed_mutex_);
    if (!changed_.insert(id).second) return;
  }
  const ContainerPtr container = parts_.registry.known(id);
  const ContainerId payer = container ? container->tenant().id() : id;
  parts_.notifier.post(payer.packed(), [this, id] {
    {
      const std::lock_guard lock(changed_mutex_);
      changed_.erase(id);
    }
    notify_readers(id);
  });
}

void KmsgFiles::notify_readers(ContainerId id) {
  const ContainerPtr payer = opener_of(id);
  if (!payer) return;
  CpuLaps laps;
  laps.begin(true);
  // A tenant may have thousands polled: the kernel is told without the lock that all share.
  for (const Poller& poller : answer_parked(id)) notify(poller);
  payer->tenant().charge_lap(laps, false);
}

void KmsgFiles::notify(const Poller& poller) {
  reply().notify_poll(poller.poll_handle);
  const std::lock_guard lock(mutex_);
  if (poller.file->times_asked != poller.asked) return;
  // Not before: a worker that dies in between leaves it to the next one.
  KmsgState to = poller.file->now();
  to.poll_handle = 0;
  poller.file->change(to);
}

auto KmsgFiles::answer_parked(ContainerId id) -> std::vector<Poller> {
  std::vector<Poller> polled;
  const std::lock_guard lock(mutex_);
  const auto it = by_log_.find(id);
  if (it == by_log_.end()) return polled;
  // In the order in which they came: their numbers count up.
  const std::set<uint64_t> waiting = it->second.parked;
  for (const uint64_t unique : waiting) {
    Parked& parked = parked_.at(unique);
    // Nobody was slow while there was nothing to read.
    parked.read.info.taken_ns = clock_ns(CLOCK_MONOTONIC);
    if (!answer_locked(*parked.file, parked.read)) continue;
    it->second.parked.erase(unique);
    unpark_locked(parked_.find(unique));
  }
  for (const FilePtr& file : it->second.files) {
    const uint64_t poll_handle = file->now().poll_handle;
    if (poll_handle != 0) polled.push_back({file, poll_handle, file->times_asked});
  }
  return polled;
}

auto KmsgFiles::opener_of(ContainerId id) const -> ContainerPtr {
  const std::lock_guard lock(mutex_);
  const auto log = by_log_.find(id);
  if (log == by_log_.end() || log->second.files.empty()) return nullptr;
  return log->second.files.front()->container;
}

Answer KmsgFiles::in_turn_of_file(const Request& r, uint64_t handle, FileWork work) {
  take_over(node_of(r).container());
  const FilePtr file = find_or_restore(handle, node_of(r), view_of(r));
  if (!file) return Answer::error(EBADF);
  return at_gate(r, file->container,
                 [this, file, work](const Request& req) { return (this->*work)(req, file); });
}

auto KmsgFiles::find_locked(uint64_t handle, NodeId node) const -> FilePtr {
  const auto it = files_.find(handle);
  return it != files_.end() && it->second->node.raw() == node.raw() ? it->second : nullptr;
}

auto KmsgFiles::find_or_restore(uint64_t handle, NodeId node, const View& view) -> FilePtr {
  {
    const std::lock_guard lock(mutex_);
    const auto file = find_locked(handle, node);
    if (file || files_.count(handle) != 0) return file;
  }
  // A handle of a worker whose state was lost: the node says whose it is.
  // Few threads serve these.
  auto container = parts_.registry.for_host(node.container());
  if (!container) return nullptr;
  const std::lock_guard lock(mutex_);
  auto file = find_locked(handle, node);
  if (file || files_.count(handle) != 0) return file;
  file = std::make_shared<KmsgFile>(parts_.state, node, view, std::move(container.value()), handle,
                                    uint64_t{0});
  add_locked(file);
  return file;
}

void KmsgFiles::add_locked(const FilePtr& file) {
  files_[file->handle] = file;
  Log& log = by_log_[file->node.container()];
  log.files.push_back(file);
  log.furthest = std::max(log.furthest, file->now().cursor.offset);
}

auto KmsgFiles::remove_locked(uint64_t handle, NodeId node) -> FilePtr {
  FilePtr gone = find_locked(handle, node);
  if (!gone) return gone;
  files_.erase(handle);
  const auto log = by_log_.find(node.container());
  auto& files = log->second.files;
  files.erase(std::find(files.begin(), files.end(), gone));
  if (files.empty() && log->second.parked.empty()) by_log_.erase(log);
  return gone;
}

uint32_t KmsgFiles::events_locked(const KmsgFile& file) const {
  constexpr uint32_t kReadable = POLLIN | POLLRDNORM;
  const ContainerId id = file.container->id();
  if (is_stream(file.view)) return logs_.has_unread(id) ? kReadable : 0;
  const KernelLogs::Ends ends = logs_.ends(id);
  const uint64_t next = file.now().cursor.next;
  if (next < ends.first || next > ends.next) return kReadable | POLLERR | POLLPRI;
  return next < ends.next ? kReadable : 0;
}

uint64_t KmsgFiles::furthest_locked(NodeId node) const {
  const auto log = by_log_.find(node.container());
  return log == by_log_.end() ? 0 : log->second.furthest;
}

/// Whether a worker that died before it had answered has added a line all the same.
bool KmsgFiles::was_written_locked(const KmsgFile& file, const OwnLine& line) const {
  KernelLogs::Page page;
  constexpr size_t kLookedAt = 64;
  logs_.read(file.container->id(), file.now().before.next, kLookedAt, page);
  return std::any_of(page.records.begin(), page.records.end(), [&](const auto& record) {
    return record.priority == line.priority &&
           record.text == std::string_view(line.text).substr(0, LogRing::kLongestText);
  });
}

void KmsgFiles::hand_over(bool resend) {
  const std::lock_guard lock(mutex_);
  for (const auto& [unique, parked] : parked_) {
    if (!resend) parts_.answers.end(unique, EINTR);
    --parked.file->container->tenant().parked_reads;
  }
  parked_.clear();
  by_log_.clear();
  for (const auto& [handle, file] : files_) file->keep();
  files_.clear();
  left_.clear();
}

size_t KmsgFiles::open_files() const {
  const std::lock_guard lock(mutex_);
  size_t n = files_.size();
  for (const auto& [id, left] : left_) n += left.size();
  return n;
}

size_t KmsgFiles::waiting() const {
  const std::lock_guard lock(mutex_);
  return parked_.size();
}

}  // namespace vprocfs
