#include "attach/limits.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "base/affix.h"
#include "base/clock.h"
#include "base/pidfd.h"
#include "base/write_text.h"
#include "source/process.h"

namespace vprocfs {
namespace {

constexpr char kStateDirectory[] = "/run/vprocfs";
constexpr char kLockFile[] = "/run/vprocfs/attach.lock";
/// The offset of tenants' locks in the lock file. Those of mount namespaces, whose numbers are
/// smaller, are before it.
constexpr off_t kTenants = off_t{1} << 40;

constexpr rlim_t kMaxCpuSeconds = 10;
/// The process that waits for us gives up first, and says why.
constexpr unsigned kAlarmLaterSeconds = 2;
constexpr rlim_t kMaxMemoryBytes = rlim_t{256} << 20;

void limit(__rlimit_resource_t what, rlim_t value) {
  rlimit now{};
  if (::getrlimit(what, &now) != 0) return;
  now.rlim_max = std::min(now.rlim_max, value);
  now.rlim_cur = std::min(now.rlim_cur, value);
  ::setrlimit(what, &now);
}

/// The payer's own cgroup in a hierarchy that limits something; empty where there is none.
std::string limiting_cgroup(const Hierarchy& hierarchy, const CgroupPaths& paths) {
  for (const Controller controller : {Controller::kCpu, Controller::kMemory}) {
    const auto index = static_cast<size_t>(controller);
    if ((hierarchy.controllers & (1u << index)) == 0) continue;
    const std::string& path = hierarchy.v2 ? paths.v2 : paths.v1[index];
    // The root is nobody's, and what lies outside of our cgroup namespace cannot be reached.
    if (path.size() > 1 && !starts_with(path, "/..")) return path;
  }
  return "";
}

Fd open_procfs() { return Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }

Fd lock_at(off_t offset, int command) {
  ::mkdir(kStateDirectory, 0700);
  Fd file(::open(kLockFile, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = offset;
  range.l_len = 1;
  if (file && ::fcntl(file.get(), command, &range) != 0) {
    const int code = errno;
    file.reset();
    errno = code;
  }
  return file;
}

}  // namespace

void limit_self() {
  limit(RLIMIT_CPU, kMaxCpuSeconds);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // Sanitizers reserve the whole address space.
  limit(RLIMIT_AS, kMaxMemoryBytes);
#endif
  limit(RLIMIT_CORE, 0);
  write_text(AT_FDCWD, "/proc/self/oom_score_adj", "1000");
}

void end_after(uint32_t ms) {
  // A runtime may have started us with this signal ignored or blocked.
  ::signal(SIGALRM, SIG_DFL);
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  ::sigprocmask(SIG_UNBLOCK, &alarm, nullptr);
  ::alarm(ms / 1000 + kAlarmLaterSeconds);
}

uint64_t cpu_time_us(pid_t pid) {
  clockid_t clock{};
  return ::clock_getcpuclockid(pid, &clock) == 0 ? clock_us(clock) : 0;
}

Payer::Payer(pid_t pid) : pid_(pid), pidfd_(open_pidfd(pid)), first_(paths()) {}

std::optional<CgroupPaths> Payer::paths() const {
  const Fd procfs = open_procfs();
  auto paths = read_cgroup_paths(procfs.get(), pid_);
  // After that: the PID was not another one's before.
  if (!pidfd_ || !paths || has_ended(pidfd_)) return std::nullopt;
  return std::move(paths.value());
}

void Payer::charge(pid_t process) const {
  const auto now = paths();
  const auto& its = now ? now : first_;
  const Fd procfs = open_procfs();
  const auto mounts = CgroupMounts::discover(procfs.get());
  if (!its || !mounts) return;
  for (const Hierarchy& hierarchy : mounts.value().all()) {
    const std::string path = limiting_cgroup(hierarchy, *its);
    if (path.empty()) continue;
    const std::string procs = path.substr(1) + "/cgroup.procs";
    write_text(hierarchy.root.get(), procs.c_str(), std::to_string(process));
  }
}

Fd lock_namespace(uint64_t mount_namespace) {
  return lock_at(static_cast<off_t>(mount_namespace & INT64_MAX), F_OFD_SETLKW);
}

Fd lock_tenant(uint64_t tenant, bool& busy) {
  Fd file = lock_at(kTenants + static_cast<off_t>(tenant & UINT32_MAX), F_OFD_SETLK);
  busy = !file && (errno == EAGAIN || errno == EACCES);
  return file;
}

}  // namespace vprocfs
