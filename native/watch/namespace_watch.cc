#include "watch/namespace_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <string_view>
#include <utility>

#include "source/parse.h"
#include "source/process.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxKnown = 65536;
constexpr uint32_t kMaxOfOne = 1024;            // namespaces of the processes of one PID namespace
constexpr uint64_t kExecKey = 0, kWakeKey = 1;  // no namespace has these numbers
constexpr uint64_t kProcessBit = uint64_t{1} << 63;
/// Mounts come in bursts (a runtime sets up a container): look once in a while, not for each.
constexpr uint64_t kLeastRestUs = 10000;
/// How many times longer than a reading took its namespace then rests.
constexpr uint64_t kRestFactor = 9;

uint64_t now_us() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000 + static_cast<uint64_t>(t.tv_nsec) / 1000;
}

/// 0: the process has ended.
uint64_t namespace_of(const std::string& process, const char* which) {
  struct stat st {};
  const std::string path = "/proc/" + process + "/ns/" + which;
  return ::stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

Fd pidfd_of(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

bool has_ended(const Fd& pidfd) {
  pollfd p{pidfd.get(), POLLIN, 0};
  return ::poll(&p, 1, 0) != 0;
}

/// Whether a process is the init of its PID namespace: what is mounted on /proc is its own then.
bool is_init(pid_t pid) {
  const Fd procfs(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto inner = read_inner_pid(procfs.get(), pid);
  return inner && inner.value() == 1;
}

/// Who is to be asked about a mount namespace: the init of the process's PID namespace where it
/// lives in the same one, since that outlives the others (Linux 6.11), else the process.
pid_t representative(pid_t pid, uint64_t key) {
  constexpr unsigned long kGetInit = _IOR(0xb7, 0x7, int);  // NS_GET_TGID_FROM_PIDNS
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/pid";
  const Fd pids(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const int init = pids ? ::ioctl(pids.get(), kGetInit, 1) : -1;
  return init > 0 && namespace_of(std::to_string(init), "mnt") == key ? init : pid;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

uint64_t digest_of_mounts(std::string_view mountinfo) {
  uint64_t hash = 14695981039346656037u;
  for_each_line(mountinfo, [&](std::string_view line) {
    if (!contains(line, "/proc") && !contains(line, "/sys") && !contains(line, " - proc ")) return;
    for (const char c : line) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  });
  return hash;
}

NamespaceWatch::NamespaceWatch(OnEvents on_events) : on_events_(std::move(on_events)) {}

NamespaceWatch::~NamespaceWatch() { stop(); }

Result<bool> NamespaceWatch::start() {
  own_mounts_ = namespace_of("self", "mnt");
  own_pids_ = namespace_of("self", "pid");
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  wake_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_) return Error{errno, "epoll"};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeKey;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
  auto execs = ExecEvents::open();
  if (execs) {
    execs_ = std::move(execs.value());
    event.data.u64 = kExecKey;
    has_execs_ = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, execs_.fd(), &event) == 0;
  }
  thread_ = std::thread([this] { loop(); });
  if (!has_execs_) return execs ? Error{errno, "epoll"} : execs.error();
  return true;
}

void NamespaceWatch::stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) return;
  thread_.join();
  const std::lock_guard lock(mutex_);
  known_.clear();
  counts_.clear();
  dirty_ = 0;
}

bool NamespaceWatch::watch(uint64_t key, Known known) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = key | kProcessBit;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, known.process.get(), &event) != 0) return false;
  if (known.mounts) {
    event.events = EPOLLPRI;
    event.data.u64 = key;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, known.mounts.get(), &event) != 0) return false;
  }
  ++counts_[known.pids];
  known_[key] = std::move(known);
  return true;
}

bool NamespaceWatch::follow(pid_t pid) {
  Known known;
  known.pid = pid;
  known.process = pidfd_of(pid);
  const std::string name = std::to_string(pid);
  known.mounts = Fd(::open(("/proc/" + name + "/mountinfo").c_str(), O_RDONLY | O_CLOEXEC));
  const uint64_t key = namespace_of(name, "mnt");
  known.pids = namespace_of(name, "pid");
  if (!known.process || !known.mounts || key == 0 || key == own_mounts_) return false;
  known.init = is_init(pid);
  // What has changed before it is read for the first time is told of then.
  known.dirty = true;
  const std::lock_guard lock(mutex_);
  const auto it = known_.find(key);
  if (it != known_.end() && it->second.mounts) return true;
  if (it == known_.end() && !has_room(known.pids)) return false;
  if (it != known_.end()) drop(it);
  if (!watch(key, std::move(known))) return false;
  ++dirty_;
  const uint64_t one = 1;
  return ::write(wake_.get(), &one, sizeof one) > 0;
}

bool NamespaceWatch::has_room(uint64_t pids) const {
  const auto count = counts_.find(pids);
  return known_.size() < kMaxKnown && (count == counts_.end() || count->second < kMaxOfOne);
}

void NamespaceWatch::drop(Map::iterator it) {
  if (it->second.dirty) --dirty_;
  const auto count = counts_.find(it->second.pids);
  if (count != counts_.end() && --count->second == 0) counts_.erase(count);
  known_.erase(it);
}

void NamespaceWatch::unfollow(uint64_t mount_namespace) {
  const std::lock_guard lock(mutex_);
  const auto it = known_.find(mount_namespace);
  if (it == known_.end()) return;
  if (it->second.dirty) --dirty_;
  it->second.dirty = false;
  it->second.mounts.reset();
}

void NamespaceWatch::take_exec(pid_t pid, Events& out) {
  const std::string name = std::to_string(pid);
  const uint64_t key = namespace_of(name, "mnt");
  if (key == 0 || key == own_mounts_) return;
  const std::lock_guard lock(mutex_);
  auto it = known_.find(key);
  // Numbers of namespaces are reused at once: also where who was known by one has ended or has
  // moved to another.
  const auto is_past = [key](const Known& k) {
    return has_ended(k.process) || namespace_of(std::to_string(k.pid), "mnt") != key;
  };
  if (it != known_.end() && is_past(it->second)) {
    out.push_back({WatchEvent::Kind::kEnded, it->second.pid, key});
    drop(it);
    it = known_.end();
  }
  if (it != known_.end() && it->second.init) return;
  Known known;
  known.pids = namespace_of(name, "pid");
  // A service of the host with mounts of its own is no container.
  if (known.pids == own_pids_ || (it == known_.end() && !has_room(known.pids))) return;
  // Who has made a mount namespace may be known before the init that it is for (unshare -m -p).
  if (it != known_.end() && it->second.pids == known.pids) return;
  known.pid = representative(pid, key);
  known.init = is_init(known.pid);
  if (it != known_.end() && !known.init) return;
  if (it != known_.end()) drop(it);
  known.process = pidfd_of(known.pid);
  const WatchEvent event{WatchEvent::Kind::kAppeared, known.pid, key};
  if (known.process && watch(key, std::move(known))) out.push_back(event);
}

void NamespaceWatch::take_execs(Events& out) {
  for (;;) {
    const pid_t pid = execs_.next();
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
    // The event may be of a process that was replaced meanwhile.
    if (!has_ended(known.process)) return;
    out.push_back({WatchEvent::Kind::kEnded, known.pid, key});
    drop(it);
  } else if (!known.dirty && known.mounts) {
    known.dirty = true;
    ++dirty_;
  }
}

std::vector<NamespaceWatch::Reading> NamespaceWatch::due() {
  std::vector<Reading> readings;
  const std::lock_guard lock(mutex_);
  if (dirty_ == 0) return readings;
  const uint64_t now = now_us();
  for (auto& [key, known] : known_) {
    if (!known.dirty || known.not_before > now) continue;
    known.dirty = false;
    --dirty_;
    readings.push_back({key, Fd(::fcntl(known.mounts.get(), F_DUPFD_CLOEXEC, 0))});
  }
  return readings;
}

void NamespaceWatch::read_dirty(Events& out) {
  ReadBuffer room;
  // Without the lock: a container may have as many mounts as it likes.
  for (const Reading& reading : due()) {
    const uint64_t begun = now_us();
    const bool read = room.read_pieces(reading.mounts.get()) == 0;
    const uint64_t digest = read ? digest_of_mounts(room.text()) : 0;
    const uint64_t ended = now_us();
    const std::lock_guard lock(mutex_);
    const auto it = known_.find(reading.key);
    if (it == known_.end()) continue;
    Known& known = it->second;
    known.not_before = ended + std::max(kLeastRestUs, kRestFactor * (ended - begun));
    if (!read || digest == known.digest) continue;
    known.digest = digest;
    out.push_back({WatchEvent::Kind::kMounts, known.pid, reading.key});
  }
}

int NamespaceWatch::wait_ms() {
  const std::lock_guard lock(mutex_);
  if (dirty_ == 0) return -1;
  uint64_t soonest = UINT64_MAX;
  for (const auto& [key, known] : known_) {
    if (known.dirty) soonest = std::min(soonest, known.not_before);
  }
  const uint64_t now = now_us();
  return soonest <= now ? 0
                        : static_cast<int>(std::min<uint64_t>((soonest - now) / 1000 + 1, 1000));
}

void NamespaceWatch::loop() {
  epoll_event events[64];
  while (!stopping_) {
    const int n = ::epoll_wait(epoll_.get(), events, 64, wait_ms());
    if (n < 0 && errno != EINTR) return;
    Events out;
    for (int i = 0; i < n; ++i) {
      const uint64_t key = events[i].data.u64;
      if (key == kWakeKey) {
        uint64_t count = 0;
        if (::read(wake_.get(), &count, sizeof count) < 0) continue;
      } else if (key == kExecKey) {
        take_execs(out);
      } else {
        take_known(key & ~kProcessBit, (key & kProcessBit) != 0, out);
      }
    }
    read_dirty(out);
    if (!out.empty()) on_events_(std::move(out));
  }
}

}  // namespace vprocfs
