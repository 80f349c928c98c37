#include "attach/target.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

#include "attach/kernel.h"
#include "source/process.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxRoots = 16;

std::string link_of(int dir_fd, const char* path) {
  char target[64];
  const ssize_t n = ::readlinkat(dir_fd, path, target, sizeof target);
  return n > 0 ? std::string(target, static_cast<size_t>(n)) : std::string();
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// What LXC, LXD and systemd-nspawn keep uncovered so that containers within may mount proc.
bool is_kept_apart(std::string_view path) {
  return ends_with(path, "/.lxc/proc") || ends_with(path, "/run/host/proc");
}

Error gone(pid_t pid) { return Error{ESRCH, "process " + std::to_string(pid)}; }

}  // namespace

Result<Target> Target::open(pid_t pid) {
  Target t;
  t.pidfd_ = Fd(sys_pidfd_open(pid));
  if (!t.pidfd_) return errno == ENOSYS ? Error{ENOSYS, "pidfd_open"} : gone(pid);
  const Fd procfs(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name = std::to_string(pid);
  t.directory_ = Fd(::openat(procfs.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!t.directory_) return gone(pid);
  t.own_ = Fd(::openat(procfs.get(), "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!t.own_) return Error{errno, "/proc/self"};
  t.pid_namespace_ = link_of(t.directory_.get(), "ns/pid");
  struct stat st {};
  const bool has_mounts = ::fstatat(t.directory_.get(), "ns/mnt", &st, 0) == 0;
  const auto start = read_start_ticks(procfs.get(), pid);
  // The number may have passed on to another process before the directory was opened.
  if (!has_mounts || !start || t.pid_namespace_.empty() || t.ended()) return gone(pid);
  t.mount_namespace_ = st.st_ino;
  t.start_ticks_ = start.value();
  return t;
}

Result<Target> Target::own() {
  auto t = Target::open(::getpid());
  if (!t) return t;
  t.value().entered_ = true;
  auto read = t.value().refresh();
  if (!read) return read.error();
  return t;
}

bool Target::ended() const { return has_ended(pidfd_); }

Result<bool> Target::look() {
  root_ = Fd(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_) return Error{errno, "/"};
  // Ours, and not the process's: a chroot sees only the mounts below it.
  const auto text = read_file(own_.get(), "mountinfo");
  if (!text) return Error{text.error().code, "mountinfo"};
  mounts_ = MountTable::parse(text.value());
  return true;
}

Result<bool> Target::refresh() {
  if (entered_) return look();
  const Fd here(::openat(own_.get(), "ns/mnt", O_RDONLY | O_CLOEXEC));
  const Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!here || !root) return Error{errno, "its own mount namespace"};
  auto done = enter();
  if (!done) return done;
  done = look();
  entered_ = false;
  const bool back =
      ::setns(here.get(), CLONE_NEWNS) == 0 && ::fchdir(root.get()) == 0 && ::chroot(".") == 0;
  return back ? done : Error{errno, "cannot come back from its mount namespace"};
}

bool Target::runs_own_program() const {
  const Fd program(::openat(directory_.get(), "exe", O_PATH | O_CLOEXEC));
  PathIdentity found;
  return program && identify(program.get(), found) && mounts_.by_id(found.mount) != nullptr;
}

Fd Target::open_path(const std::string& path, int flags) const {
  return open_below(root_.get(), path.compare(0, 1, "/") == 0 ? path.substr(1) : path, flags);
}

bool Target::is_own_proc(const MountEntry& entry) const {
  if (entry.type != "proc" || entry.root != "/" || !ends_with(entry.path, "/proc")) return false;
  if (is_kept_apart(entry.path)) return false;
  const Fd fd = open_path(entry.path, O_DIRECTORY);
  PathIdentity found;
  struct statfs fs {};
  // Something else may be mounted over it.
  if (!fd || !identify(fd.get(), found) || found.mount != entry.id) return false;
  if (::fstatfs(fd.get(), &fs) != 0 || fs.f_type != PROC_SUPER_MAGIC) return false;
  // A namespace's procfs shows its own init as 1.
  return link_of(fd.get(), "1/ns/pid") == pid_namespace_;
}

std::vector<std::string> Target::roots(bool before_pivot) const {
  std::vector<std::string> found;
  for (const auto& entry : mounts_.all()) {
    if (found.size() >= kMaxRoots) break;
    if (entry.path != "/proc" && !before_pivot) continue;
    if (!is_own_proc(entry)) continue;
    std::string root = entry.path.substr(0, entry.path.size() - std::string_view("/proc").size());
    found.push_back(std::move(root));
  }
  return found;
}

std::string Target::why_no_root() const {
  const Fd fd = open_path("proc", 0);
  PathIdentity found;
  struct statfs fs {};
  if (!fd && errno == ENOENT) return "it has no /proc";
  if (!fd || !identify(fd.get(), found)) {
    return std::string("its /proc cannot be opened: ") + std::strerror(errno);
  }
  if (found.mode == S_IFLNK) return "its /proc is a symlink";
  if (::fstatfs(fd.get(), &fs) != 0 || fs.f_type != PROC_SUPER_MAGIC) {
    return "its /proc is no procfs";
  }
  return "its /proc is of another PID namespace";
}

Result<bool> Target::enter() {
  if (::setns(pidfd_.get(), CLONE_NEWNS) == 0) {
    entered_ = true;
    return true;
  }
  return Error{errno, errno == ESRCH ? "it has ended" : "cannot enter its mount namespace"};
}

}  // namespace vprocfs
