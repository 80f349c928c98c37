#include "seccomp/agent.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/priority.h"

namespace vprocfs {
namespace {

// Keys in the epoll set of all that is not a source.
constexpr uint64_t kStop = 0, kPaceTimer = 1, kWatchTimer = 2, kDone = 3, kLogReady = 4,
                   kListenTimer = 5, kFirstWriter = 16;
constexpr uint64_t kFirstSource = kFirstWriter + PendingCalls::kWriterSlots;

constexpr uint32_t kOnce = EPOLLIN | EPOLLONESHOT;

/// How often writers are checked while any is at work.
constexpr uint64_t kWatchUs = 50'000;

void drain(const Fd& timer) {
  uint64_t expirations = 0;
  if (::read(timer.get(), &expirations, sizeof expirations) < 0) return;
}

}  // namespace

void Agent::arm(const Fd& timer, uint64_t at_us) {
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(at_us / 1'000'000);
  when.it_value.tv_nsec = static_cast<long>(at_us % 1'000'000 * 1000);
  ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

Agent::Agent(AgentOptions options, Registry& registry, FdStore* fd_store)
    : options_(std::move(options)),
      registry_(registry),
      fd_store_(fd_store),
      answerer_(options_.answers, registry_),
      writers_(pending_, options_.answers.procfs_fd) {}

Result<bool> Agent::prepare(std::vector<FdStore::Entry> stored) {
  epoll_ = Epoll::open();
  stop_ = Wake::open();
  log_ready_ = Wake::open();
  for (Fd* timer : {&pace_timer_, &watch_timer_, &listen_timer_}) {
    *timer = Fd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  }
  if (!epoll_ || !stop_ || !log_ready_ || !pace_timer_ || !watch_timer_ || !listen_timer_) {
    return Error{errno, "epoll"};
  }
  if (!epoll_.add(stop_.fd(), kStop, EPOLLIN) || !epoll_.add(log_ready_.fd(), kLogReady, kOnce) ||
      !epoll_.add(pace_timer_.get(), kPaceTimer, kOnce) ||
      !epoll_.add(watch_timer_.get(), kWatchTimer, kOnce) ||
      !epoll_.add(listen_timer_.get(), kListenTimer, kOnce)) {
    return Error{errno, "epoll"};
  }
  auto adopted = adopt_all(std::move(stored));
  if (!adopted) return adopted;
  adopt_writers();
  leftovers_ = pending_.leftovers();
  for (const auto& [place, entry] : leftovers_) {
    if (entry.poisoned != 0) poisoned_.emplace(entry.key, entry.notification.id);
    const SourcePtr source = find(entry.key);
    if (!source) continue;
    if (source->kind == Kind::kMonitor && entry.log.kind() != LogSpan::kNone) {
      source->taken_for = entry.notification.id;
      source->taken = entry.log;
    }
    // Not armed yet: once this call is answered its listener is. Armed twice, two threads would
    // wait for its next call.
    if (source->kind == Kind::kListener && entry.blocked == 0) {
      epoll_.modify(source->fd.get(), entry.key, EPOLLONESHOT);
    }
  }
  adopt_blocked();
  drop_idle_side_listeners();
  if (options_.answers.logs != nullptr) {
    log_token_ = options_.answers.logs->listen([this](ContainerId id) { on_log(id); });
  }
  if (!epoll_.add(writers_.done().fd(), kDone, kOnce)) return Error{errno, "epoll"};
  return true;
}

void Agent::rearm(uint64_t key, int fd) const { epoll_.modify(fd, key, kOnce); }

void Agent::defer(const Source& source, uint64_t wait_us) {
  const std::lock_guard lock(mutex_);
  paced_.emplace(boottime_us() + wait_us, source.key);
  arm_pace_timer_locked();
}

/// Arms the timer for whatever is due first.
void Agent::arm_pace_timer_locked() {
  uint64_t at = UINT64_MAX;
  if (!paced_.empty()) at = paced_.begin()->first;
  if (!later_.empty()) at = std::min(at, later_.begin()->first);
  if (!checks_.empty()) at = std::min(at, checks_.begin()->first);
  if (!blocked_.empty()) at = std::min(at, blocked_.front().until_us);
  if (at != UINT64_MAX) arm(pace_timer_, at);
}

void Agent::on_pace_timer(size_t index) {
  drain(pace_timer_);
  end_blocked(index);
  bool resumes = false;
  {
    const uint64_t now = boottime_us();
    const std::lock_guard lock(mutex_);
    while (!paced_.empty() && paced_.begin()->first <= now) {
      const auto found = sources_.find(paced_.begin()->second);
      if (found != sources_.end()) rearm(found->first, found->second->fd.get());
      paced_.erase(paced_.begin());
    }
    check_turns_locked(now);
    resumes = take_due_locked(now, index);
    // Other calls that are due are for another thread.
    arm_pace_timer_locked();
  }
  rearm(kPaceTimer, pace_timer_.get());
  if (resumes) resume_in_flight(index);
}

void Agent::on_watch_timer(size_t index) {
  drain(watch_timer_);
  {
    const std::lock_guard lock(mutex_);
    watching_ = is_writing_locked();
    if (watching_) arm(watch_timer_, boottime_us() + kWatchUs);
  }
  rearm(kWatchTimer, watch_timer_.get());
  check_writers(index);
}

bool Agent::is_writing_locked() const {
  for (size_t i = 0; i < PendingCalls::kWriterSlots; ++i) {
    if (writers_.is_busy(i)) return true;
  }
  return false;
}

void Agent::watch_writers_locked() {
  if (!std::exchange(watching_, true)) arm(watch_timer_, boottime_us() + kWatchUs);
}

void Agent::run(size_t index) {
  go_first();
  if (index == 0) {
    // Other threads take new calls meanwhile, and more of them where this takes long.
    threads_.busy();
    for (const auto& [place, entry] : leftovers_) {
      // An answer to a monitor is settled when its question is read.
      if (entry.answering != 0 && find(entry.key)) continue;
      if (entry.notification.id != 0) {
        counters_.resumed.fetch_add(1, std::memory_order_relaxed);
        resume(entry, index);
      }
      const std::lock_guard lock(mutex_);
      pending_.settle(place);
    }
    resume_blocked(index);
    threads_.idle();
  }
  for (;;) {
    epoll_event event[1];
    if (epoll_.wait(event) != 1) continue;
    if (event->data.u64 == kStop) return;
    // Any event may take long to handle.
    threads_.busy();
    handle(event->data.u64, event->events, index);
    threads_.idle();
    // Without a free slot this thread can handle no other event; it must not take one.
    if (keeps_call(index)) return;
  }
}

/// Events that are not about one source concern all tenants. So their descriptors are armed again
/// before anything is done that a single tenant can make slow.
void Agent::handle(uint64_t key, uint32_t events, size_t index) {
  if (key == kWatchTimer) return on_watch_timer(index);
  if (key == kDone) {
    writers_.done().drain();
    rearm(kDone, writers_.done().fd());
    return on_written(index);
  }
  if (key >= kFirstWriter && key < kFirstSource) return on_writer_end(key - kFirstWriter, index);
  // Everything else is left to the next worker.
  if (stopping_.load(std::memory_order_acquire)) return;
  if (key == kPaceTimer) return on_pace_timer(index);
  if (key == kListenTimer) {
    drain(listen_timer_);
    try_to_listen();
    return rearm(kListenTimer, listen_timer_.get());
  }
  if (key == kLogReady) {
    log_ready_.drain();
    rearm(kLogReady, log_ready_.fd());
    return on_log_ready(index);
  }
  const SourcePtr source = find(key);
  if (!source) return;
  switch (source->kind) {
    case Kind::kLxcSocket:
    case Kind::kOciSocket:
      return accept(*source);
    case Kind::kRuntime:
      return on_runtime(source);
    case Kind::kDrainingRuntime:
      return on_draining_runtime(*source);
    case Kind::kListener:
      // No process with this filter is left.
      if ((events & EPOLLIN) == 0) return remove(*source);
      return on_call(source, index);
    case Kind::kMonitor:
      return on_call(source, index);
    case Kind::kSideListener:
      return remove(*source);
    case Kind::kPendingCalls:
    case Kind::kMetricsSocket:
    case Kind::kNone:
      return;
  }
}

void Agent::watch_end(size_t slot, int pidfd) { epoll_.add(pidfd, kFirstWriter + slot, kOnce); }

void Agent::stop(bool for_good) {
  if (log_token_ != 0) options_.answers.logs->unlisten(std::exchange(log_token_, 0));
  stopping_ = true;
  // Writers end with the threads that have started them.
  if (threads_.size() != 0) finish_writes();
  if (stop_) stop_.ring();
  threads_.join();
  leave_writers(for_good);
  if (for_good) stop_awaiting_place();
  // A keeper leaves a process behind that goes on with the sockets (call_passthrough).
  if (for_good && fd_store_ == nullptr) {
    for (const auto& [key, source] : sources_) {
      if (is_socket(source->kind)) unlink_bound(source->fd.get());
    }
  }
  sources_.clear();
}

}  // namespace vprocfs
