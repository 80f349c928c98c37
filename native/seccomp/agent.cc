#include "seccomp/agent.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/priority.h"

namespace vprocfs {
namespace {

// Keys of what is no source.
constexpr uint64_t kStop = 0, kPaceTimer = 1, kWatchTimer = 2, kDone = 3, kLogReady = 4,
                   kFirstWriter = 16;
constexpr uint64_t kFirstSource = kFirstWriter + PendingCalls::kDesks;

/// How often writers are looked after while there are some at work.
constexpr uint64_t kWatchUs = 50'000;

/// Runtimes that have connected and say nothing: beyond these the oldest is dropped.
constexpr size_t kMaxRuntimes = 64;

constexpr int kAcceptAtOnce = 16;

void arm(const Fd& timer, uint64_t at_us) {
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(at_us / 1'000'000);
  when.it_value.tv_nsec = static_cast<long>(at_us % 1'000'000 * 1000);
  ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void drain(const Fd& timer) {
  uint64_t expirations = 0;
  if (::read(timer.get(), &expirations, sizeof expirations) < 0) return;
}

bool watch(const Fd& epoll, int fd, uint64_t key, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  return ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Agent::Agent(AgentOptions options, Registry& registry, FdStore* fd_store)
    : options_(std::move(options)),
      registry_(registry),
      fd_store_(fd_store),
      answerer_(options_.answers, registry_),
      writers_(pending_, options_.answers.procfs_fd) {}

Agent::~Agent() { stop(false); }

Result<bool> Agent::prepare(std::vector<FdStore::Kept> kept) {
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  log_ready_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  for (Fd* timer : {&pace_timer_, &watch_timer_}) {
    *timer = Fd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  }
  if (!epoll_ || !stop_ || !log_ready_ || !pace_timer_ || !watch_timer_) {
    return Error{errno, "epoll"};
  }
  constexpr uint32_t kOnce = EPOLLIN | EPOLLONESHOT;
  if (!watch(epoll_, stop_.get(), kStop, EPOLLIN) ||
      !watch(epoll_, log_ready_.get(), kLogReady, kOnce) ||
      !watch(epoll_, pace_timer_.get(), kPaceTimer, kOnce) ||
      !watch(epoll_, watch_timer_.get(), kWatchTimer, kOnce)) {
    return Error{errno, "epoll"};
  }
  auto adopted = adopt_all(std::move(kept));
  if (!adopted) return adopted;
  adopt_writers();
  leftovers_ = pending_.leftovers();
  for (const auto& [place, entry] : leftovers_) {
    if (entry.poisoned != 0) poisoned_.emplace(entry.key, entry.notification.id);
    if (entry.log.kind != LogSpan::kNone) taken_[{entry.key, entry.notification.id}] = entry.log;
  }
  adopt_holding();
  drop_idle_asides();
  if (options_.answers.logs != nullptr) {
    log_token_ = options_.answers.logs->listen([this](ContainerId id) { on_log(id); });
  }
  if (!watch(epoll_, writers_.done_fd(), kDone, kOnce)) return Error{errno, "epoll"};
  return true;
}

Result<bool> Agent::start() { return threads_.start(kThreads); }

Result<bool> Agent::adopt_all(std::vector<FdStore::Kept> kept) {
  bool has_pending = false;
  for (FdStore::Kept& one : kept) {
    last_key_ = std::max(last_key_, one.tag.key);
    const auto kind = static_cast<Kind>(one.tag.kind);
    if (kind == Kind::kPendingCalls) {
      const bool ours = !has_pending && pending_.open(one.fd.get()) && writers_.start(one.fd.get());
      // One of another version is of no use any more.
      if (!ours) fd_store_->remove(one.tag.key);
      has_pending = has_pending || ours;
    }
  }
  if (!has_pending) {
    auto made = PendingCalls::make();
    if (!made) return made.error();
    if (!pending_.open(made.value().get()) || !writers_.start(made.value().get())) {
      return Error{errno, "memfd"};
    }
    if (fd_store_ != nullptr) {
      fd_store_->put({new_key(), static_cast<uint32_t>(Kind::kPendingCalls)}, made.value().get());
    }
  }
  for (FdStore::Kept& one : kept) {
    const auto kind = static_cast<Kind>(one.tag.kind);
    const bool is_socket = kind == Kind::kLxcSocket || kind == Kind::kOciSocket;
    // One of another configuration is of no use any more.
    if (is_socket && bound_path(one.fd.get()).rfind(options_.directory + "/", 0) != 0) {
      ::unlink(bound_path(one.fd.get()).c_str());
      fd_store_->remove(one.tag.key);
    } else if (is_socket || kind == Kind::kMonitor || kind == Kind::kListener ||
               kind == Kind::kAside) {
      add(kind, std::move(one.fd), one.tag.key, true);
    }
  }
  adopt_rest();
  auto listening = listen(Kind::kLxcSocket, "lxc.sock", SOCK_SEQPACKET);
  if (listening) listening = listen(Kind::kOciSocket, "oci.sock", SOCK_STREAM);
  return listening;
}

void Agent::adopt_rest() {
  constexpr int kRestMs = 1000;
  const Fd rest = connect_to(options_.directory + "/rest.sock", SOCK_SEQPACKET);
  pollfd p{rest.get(), POLLIN, 0};
  while (rest && ::poll(&p, 1, kRestMs) > 0) {
    uint32_t kinds[kRestFds];
    Received got = receive(rest.get(), kinds, sizeof kinds, false);
    if (got.state != Received::State::kSome) return;
    const size_t count = std::min(got.fds.size(), got.bytes / sizeof(kinds[0]));
    for (size_t i = 0; i < count; ++i) {
      const auto kind = static_cast<Kind>(kinds[i]);
      const bool known = kind == Kind::kMonitor || kind == Kind::kListener ||
                         kind == Kind::kLxcSocket || kind == Kind::kOciSocket;
      if (known) add(kind, std::move(got.fds[i]), 0, false);
    }
  }
}

Result<bool> Agent::listen(Kind kind, const char* name, int type) {
  for (const auto& [key, source] : sources_) {
    if (source->kind == kind) return true;
  }
  auto fd = listen_at(options_.directory + "/" + name, type);
  if (!fd) return fd.error();
  add(kind, std::move(fd.value()), 0, false);
  return true;
}

uint64_t Agent::new_key() {
  // The clock sets them apart from those of workers before us.
  last_key_ = std::max(last_key_ + 1, boottime_us() << 8);
  return last_key_;
}

uint64_t Agent::add(Kind kind, Fd fd, uint64_t key, bool resumed) {
  SourcePtr source;
  {
    const std::lock_guard lock(mutex_);
    if (key == 0) key = new_key();
    source = std::make_shared<Source>(key, kind, std::move(fd), options_.calls_per_second);
    source->resumed = resumed;
    sources_[key] = source;
  }
  if (kind == Kind::kListener || kind == Kind::kMonitor) ++counters_.listeners;
  if (fd_store_ != nullptr && !resumed && kind != Kind::kRuntime) {
    fd_store_->put({key, static_cast<uint32_t>(kind)}, source->fd.get());
  }
  // What comes by one that is put aside is for LXC's monitor: only its end is told.
  const uint32_t events = kind == Kind::kAside ? 0u : EPOLLIN;
  if (!watch(epoll_, source->fd.get(), key, events | EPOLLONESHOT)) remove(*source);
  return key;
}

void Agent::remove(const Source& source) {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(source.key);
  if (found == sources_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, source.fd.get(), nullptr);
  if (source.kind == Kind::kListener || source.kind == Kind::kMonitor) --counters_.listeners;
  if (fd_store_ != nullptr && source.kind != Kind::kRuntime) fd_store_->remove(source.key);
  forget_holding_locked(source.key);
  sources_.erase(found);
}

Agent::SourcePtr Agent::find(uint64_t key) const {
  const std::lock_guard lock(mutex_);
  const auto found = sources_.find(key);
  return found == sources_.end() ? nullptr : found->second;
}

void Agent::rearm(uint64_t key, int fd) const {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = key;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Agent::defer(const Source& source, uint64_t wait_us) {
  const std::lock_guard lock(mutex_);
  paced_.emplace(boottime_us() + wait_us, source.key);
  arm_pace_timer();
}

/// For what is due first. With mutex_ held.
void Agent::arm_pace_timer() {
  uint64_t at = UINT64_MAX;
  if (!paced_.empty()) at = paced_.begin()->first;
  if (!later_.empty()) at = std::min(at, later_.begin()->first);
  if (!holding_.empty()) at = std::min(at, holding_.front().until_us);
  if (at != UINT64_MAX) arm(pace_timer_, at);
}

void Agent::on_pace_timer(size_t index) {
  drain(pace_timer_);
  resume_later(index);
  end_holding(index);
  {
    const uint64_t now = boottime_us();
    const std::lock_guard lock(mutex_);
    while (!paced_.empty() && paced_.begin()->first <= now) {
      const auto found = sources_.find(paced_.begin()->second);
      if (found != sources_.end()) rearm(found->first, found->second->fd.get());
      paced_.erase(paced_.begin());
    }
    arm_pace_timer();
  }
  rearm(kPaceTimer, pace_timer_.get());
}

void Agent::on_watch_timer(size_t index) {
  drain(watch_timer_);
  look_after_writers(index);
  const std::lock_guard lock(mutex_);
  watching_ = false;
  for (size_t i = 0; i < PendingCalls::kDesks && !watching_; ++i) watching_ = writers_.is_busy(i);
  if (watching_) arm(watch_timer_, boottime_us() + kWatchUs);
  rearm(kWatchTimer, watch_timer_.get());
}

void Agent::watch_writers() {
  if (!std::exchange(watching_, true)) arm(watch_timer_, boottime_us() + kWatchUs);
}

void Agent::run(size_t index) {
  go_first();
  if (index == 0) {
    // Others take what is new meanwhile.
    for (const auto& [place, entry] : leftovers_) {
      // An answer to a monitor is settled when the monitor is heard.
      if (entry.answering != 0 && find(entry.key)) continue;
      if (entry.notification.id != 0) {
        counters_.resumed.fetch_add(1, std::memory_order_relaxed);
        resume(entry, index);
      }
      const std::lock_guard lock(mutex_);
      pending_.settle(place);
    }
    resume_holding(index);
  }
  while (!stopping_.load(std::memory_order_acquire)) {
    epoll_event event{};
    if (::epoll_wait(epoll_.get(), &event, 1, -1) != 1) continue;
    if (event.data.u64 == kStop) return;
    // Whatever it does may take long.
    threads_.busy();
    handle(event.data.u64, event.events, index);
    threads_.idle();
  }
}

void Agent::handle(uint64_t key, uint32_t events, size_t index) {
  if (key == kPaceTimer) return on_pace_timer(index);
  if (key == kWatchTimer) return on_watch_timer(index);
  if (key == kLogReady) {
    on_log_ready(index);
    return rearm(kLogReady, log_ready_.get());
  }
  if (key == kDone) {
    on_written(index);
    return rearm(kDone, writers_.done_fd());
  }
  if (key >= kFirstWriter && key < kFirstSource) return on_writer_end(key - kFirstWriter, index);
  const SourcePtr source = find(key);
  if (!source) return;
  switch (source->kind) {
    case Kind::kLxcSocket:
    case Kind::kOciSocket:
      return accept(*source);
    case Kind::kRuntime:
      return on_runtime(source);
    case Kind::kMonitor:
      return on_monitor(source, index);
    case Kind::kListener:
      // Nobody is left who could call.
      if ((events & EPOLLIN) == 0) return remove(*source);
      return on_listener(source, index);
    case Kind::kAside:
      return remove(*source);
    case Kind::kPendingCalls:
      return;
  }
}

void Agent::watch_end(size_t desk, int pidfd) {
  watch(epoll_, pidfd, kFirstWriter + desk, EPOLLIN | EPOLLONESHOT);
}

void Agent::accept(const Source& source) {
  const Kind kind = source.kind == Kind::kLxcSocket ? Kind::kMonitor : Kind::kRuntime;
  for (int i = 0; i < kAcceptAtOnce; ++i) {
    Fd peer = accept_root(source.fd.get());
    if (peer) add(kind, std::move(peer), 0, false);
  }
  if (kind == Kind::kRuntime) {
    std::vector<SourcePtr> waiting;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [key, other] : sources_) {
        if (other->kind == kind) waiting.push_back(other);
      }
    }
    std::sort(waiting.begin(), waiting.end(),
              [](const SourcePtr& a, const SourcePtr& b) { return a->key > b->key; });
    for (size_t i = kMaxRuntimes; i < waiting.size(); ++i) remove(*waiting[i]);
  }
  rearm(source.key, source.fd.get());
}

void Agent::stop(bool for_good) {
  stopping_ = true;
  if (log_token_ != 0) options_.answers.logs->unlisten(std::exchange(log_token_, 0));
  if (stop_) {
    const uint64_t one = 1;
    if (::write(stop_.get(), &one, sizeof(one)) < 0) return;
  }
  threads_.join();
  leave_writers(for_good);
  // With a keeper that is left to what it leaves.
  if (for_good && fd_store_ == nullptr) {
    for (const auto& [key, source] : sources_) {
      const bool is_socket = source->kind == Kind::kLxcSocket || source->kind == Kind::kOciSocket;
      if (is_socket) ::unlink(bound_path(source->fd.get()).c_str());
    }
  }
  sources_.clear();
}

}  // namespace vprocfs
