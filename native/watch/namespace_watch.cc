#include "watch/namespace_watch.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/pidfd.h"
#include "base/shortage.h"
#include "watch/process_namespaces.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxKnown = 65536;
constexpr size_t kFdsPerKnown = 2;
/// Known namespaces take at most one part in so many of the descriptors that this process may have.
constexpr size_t kDescriptorShare = 8;
constexpr uint64_t kExecKey = 0, kWakeKey = 1;  // no namespace has these numbers
constexpr uint64_t kProcessBit = uint64_t{1} << 63;

/// How many namespaces can be known.
size_t known_limit() {
  return std::min<size_t>(kMaxKnown, descriptor_limit() / kDescriptorShare / kFdsPerKnown);
}

}  // namespace

NamespaceWatch::NamespaceWatch(OnEvents on_events)
    : on_events_(std::move(on_events)),
      own_mounts_(namespace_of("self", "mnt")),
      own_pids_(namespace_of("self", "pid")),
      limit_(known_limit()),
      tenants_(limit_) {}

Result<bool> NamespaceWatch::start() {
  if (!epoll_) {
    const auto opened = open();
    if (!opened) return opened;
  }
  const auto listens = listen();
  Result<bool> started = true;
  if (!thread_.joinable()) started = thread_.start([this] { loop(); });
  if (started && !reader_.joinable()) started = reader_.start([this] { read_loop(); });
  return started ? listens : started;
}

Result<bool> NamespaceWatch::open() {
  Epoll epoll = Epoll::open();
  if (!epoll) return Error{errno, "epoll"};
  Wake wake = Wake::open();
  if (!wake || !epoll.add(wake.fd(), kWakeKey, EPOLLIN)) return Error{errno, "epoll"};
  epoll_ = std::move(epoll);
  wake_ = std::move(wake);
  return true;
}

Result<bool> NamespaceWatch::listen() {
  if (execs_.fd() >= 0) return true;
  auto execs = ProcessEvents::open(ProcessEvents::Kind::kExec);
  if (!execs) return execs.error();
  // The loop, which may run already, uses it from the first event on.
  execs_ = std::move(execs.value());
  if (epoll_.add(execs_.fd(), kExecKey, EPOLLIN)) return true;
  const Error error{errno, "epoll"};
  execs_ = {};
  return error;
}

void NamespaceWatch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  due_.notify_all();
  if (wake_) wake_.ring();
  thread_.join();
  reader_.join();
  const std::lock_guard lock(mutex_);
  known_.clear();
  uses_.clear();
  tenants_.clear();
  closing_.clear();
  dirty_ = 0;
}

NamespaceWatch::State NamespaceWatch::state() const {
  const std::lock_guard lock(mutex_);
  State state = state_;
  state.known = known_.size();
  state.limit = limit_;
  state.tenant_limit = tenant_limit();
  return state;
}

void NamespaceWatch::emit(Events events) {
  const std::lock_guard lock(emit_mutex_);
  on_events_(std::move(events));
}

bool NamespaceWatch::watch(uint64_t key, Known known) {
  if (!epoll_.add(known.process.get(), key | kProcessBit, EPOLLIN)) return false;
  // One event until the mounts are read: however fast they change, that costs nothing meanwhile.
  if (known.mounts && !epoll_.add(known.mounts.get(), key, EPOLLPRI | EPOLLONESHOT)) return false;
  ++uses_[known.tenant].count;
  known.serial = ++serial_;
  if (known.dirty) ++dirty_;
  known_[key] = std::move(known);
  return true;
}

NamespaceWatch::Follow NamespaceWatch::follow(pid_t pid) {
  Known known;
  known.pid = pid;
  known.process = open_pidfd(pid);
  const bool lacks_pidfd = !known.process && is_shortage(errno);
  const std::string name = std::to_string(pid);
  known.mounts = Fd(::open(("/proc/" + name + "/mountinfo").c_str(), O_RDONLY | O_CLOEXEC));
  const bool lacks_any = lacks_pidfd || (!known.mounts && is_shortage(errno));
  auto found = vprocfs::tenant_of(pid, own_pids_);
  const uint64_t key = namespace_of(name, "mnt");
  known.pids = namespace_of(name, "pid");
  known.init = is_init(pid);
  // Read at once, so that a change before that is found.
  known.dirty = true;
  const std::lock_guard lock(mutex_);
  const auto tenant = key_of(std::move(found));
  if (lacks_any || (!tenant && is_shortage(tenant.error().code))) {
    note_shortage();
    return Follow::kShortage;
  }
  if (!known.process || !known.mounts || key == 0 || key == own_mounts_ || !tenant) {
    return Follow::kEnded;
  }
  known.tenant = tenant.value();
  const auto it = known_.find(key);
  if (it != known_.end() && it->second.mounts) return Follow::kFollowed;
  if (it == known_.end() && !has_room(known.tenant)) return Follow::kFull;
  known.shared = it != known_.end() && it->second.shared;
  known.executed = it != known_.end() && it->second.pid == pid && it->second.executed;
  // take_out(), not drop(): its room is used again at once, so nothing that was refused has room
  // now.
  if (it != known_.end()) take_out(it);
  if (!watch(key, std::move(known))) {
    note_shortage();
    return Follow::kShortage;
  }
  due_.notify_all();
  return Follow::kFollowed;
}

void NamespaceWatch::take_exec(pid_t pid, Events& out) {
  const std::string name = std::to_string(pid);
  const uint64_t key = namespace_of(name, "mnt");
  if (key == 0 || key == own_mounts_ || has_living_init(key, pid, out)) return;
  // Others need the lock while files of processes are read.
  const uint64_t pids = namespace_of(name, "pid");
  // A service of the host with mounts of its own is no container.
  if (pids == own_pids_ || !is_wanted(key, pids)) return;
  auto found = vprocfs::tenant_of(pid, own_pids_);
  const std::lock_guard lock(mutex_);
  const auto tenant = key_of(std::move(found));
  if (!tenant) {
    if (is_shortage(tenant.error().code)) note_shortage();
    return;
  }
  add_exec(pid, key, pids, tenant.value(), out);
}

bool NamespaceWatch::has_living_init(uint64_t key, pid_t pid, Events& out) {
  const std::lock_guard lock(mutex_);
  const auto it = known_.find(key);
  if (it == known_.end()) return false;
  // The number of a namespace is reused at once. The known process may have ended, or have moved to
  // another namespace.
  const auto is_past = [key](const Known& k) {
    return has_ended(k.process) || namespace_of(std::to_string(k.pid), "mnt") != key;
  };
  Known& known = it->second;
  if (!is_past(known)) {
    // Until the container's own program runs, its runtime may still be at work on it, and some of
    // what is to be done waits for that.
    if (known.pid == pid && !std::exchange(known.executed, true)) {
      out.push_back({WatchEvent::Kind::kAppeared, pid, key, known.tenant, known.ends_with_pid()});
    }
    return known.init;
  }
  const bool init = known.ends_with_pid() && has_ended(known.process);
  out.push_back({WatchEvent::Kind::kEnded, known.pid, key, known.tenant, init});
  drop(it, out);
  return false;
}

bool NamespaceWatch::is_wanted(uint64_t key, uint64_t pids) {
  const std::lock_guard lock(mutex_);
  const auto it = known_.find(key);
  // The process that made the namespace may be known before the init that it is for (unshare -m
  // -p).
  if (it != known_.end()) return it->second.pids != pids;
  const uint64_t tenant = tenants_.known(pids);
  return tenant == 0 || has_room(tenant);
}

void NamespaceWatch::add_exec(pid_t pid, uint64_t key, uint64_t pids, uint64_t tenant,
                              Events& out) {
  const auto it = known_.find(key);
  if (it == known_.end() && !has_room(tenant)) return;
  // Somebody may have had it followed meanwhile.
  if (it != known_.end() && it->second.pids == pids) return;
  Known known;
  known.pids = pids;
  known.tenant = tenant;
  known.pid = representative(pid, key);
  known.executed = known.pid == pid;
  known.init = is_init(known.pid);
  if (it != known_.end() && !known.init) return;
  known.shared = it != known_.end();
  if (known.shared) drop(it, out);
  known.process = open_pidfd(known.pid);
  const bool shortage = !known.process && is_shortage(errno);
  const WatchEvent event{WatchEvent::Kind::kAppeared, known.pid, key, known.tenant,
                         known.ends_with_pid()};
  if (known.process && watch(key, std::move(known))) {
    out.push_back(event);
  } else if (shortage || is_shortage(errno)) {
    note_shortage();
  }
}

void NamespaceWatch::take_execs(Events& out) {
  // A limited number at a time, so that other events have their turn too.
  for (int taken = 0; taken < 1024; ++taken) {
    const pid_t pid = execs_.next().pid;
    if (pid == 0) return;
    if (pid < 0) {
      out.push_back({});
    } else {
      take_exec(pid, out);
    }
  }
}

void NamespaceWatch::take_known(uint64_t key, bool process, Events& out) {
  const std::lock_guard lock(mutex_);
  const auto it = known_.find(key);
  if (it == known_.end()) return;
  Known& known = it->second;
  if (process) {
    // The event may be about a process that was known before.
    if (!has_ended(known.process)) return;
    out.push_back({WatchEvent::Kind::kEnded, known.pid, key, known.tenant, known.ends_with_pid()});
    drop(it, out);
  } else if (known.mounts) {
    known.reopened = false;
    if (known.dirty) return;
    known.dirty = true;
    ++dirty_;
    due_.notify_all();
  }
}

int NamespaceWatch::wait_ms() {
  const std::lock_guard lock(mutex_);
  uint64_t due = tenants_.due_us();
  if (retry_us_ != 0) due = due == 0 ? retry_us_ : std::min(due, retry_us_);
  if (due == 0) return -1;
  const uint64_t now = monotonic_us();
  return due <= now ? 0 : static_cast<int>((due - now) / 1000 + 1);
}

void NamespaceWatch::loop() {
  epoll_event events[64];
  while (!stopping_) {
    const int n = epoll_.wait(events, wait_ms());
    if (n < 0 && errno != EINTR) return;
    Events out;
    for (int i = 0; i < n; ++i) {
      const uint64_t key = events[i].data.u64;
      if (key == kWakeKey) {
        wake_.drain();
      } else if (key == kExecKey) {
        take_execs(out);
      } else {
        take_known(key & ~kProcessBit, (key & kProcessBit) != 0, out);
      }
    }
    {
      const std::lock_guard lock(mutex_);
      if (retry_us_ != 0 && retry_us_ <= monotonic_us()) {
        retry_us_ = 0;
        out.push_back({});
      }
      const uint64_t now = monotonic_us();
      if (tenants_.due_us() != 0 && tenants_.due_us() <= now) {
        tenants_.sweep([this](uint64_t key) { return uses_.count(key) != 0; }, now);
      }
    }
    if (!out.empty()) emit(std::move(out));
  }
}

}  // namespace vprocfs
