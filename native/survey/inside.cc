#include "survey/inside.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/cached_stat.h"
#include "base/fd.h"
#include "base/kernel_abi.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr int kAttempts = 50;

/// O_PATH descriptor of a path below `root`, resolved in the kernel's memory. Empty with errno set;
/// EAGAIN: that is not possible.
Fd walk_in_memory(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | kResolveCached;
  const uid_t owner = cached_stat(root, "", AT_EMPTY_PATH).owner;
  Fd fd;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // From the second time on as the owner: for the owner the kernel reads no access control list.
    const bool as_owner = attempt > 0 && owner != 0;
    if (as_owner) ::setfsuid(owner);
    fd = Fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
    const int code = errno;
    if (as_owner) ::setfsuid(0);
    errno = code == EINVAL || code == ENOSYS ? EAGAIN : code;
    if (fd || errno != EAGAIN || code != EAGAIN) break;
    // A mount or a rename anywhere on the machine may have interrupted the walk.
    if (attempt > 1) ::sched_yield();
  }
  return fd;
}

bool is_on(int fd, const std::string& device, unsigned type) {
  const CachedStat seen = cached_stat(fd, "", AT_EMPTY_PATH);
  return (seen.mode & S_IFMT) == type && device_text(seen.device) == device;
}

}  // namespace

Result<std::string> read_inside(int procfs_fd, pid_t pid, const MountedFile& wanted,
                                size_t max_bytes) {
  const std::string& path = wanted.path;
  const size_t slash = path.rfind('/');
  if (slash == path.npos || slash == 0) return Error{EINVAL, path};
  const std::string link = std::to_string(pid) + "/root";
  const Fd root(::openat(procfs_fd, link.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Error{errno == ENOENT ? ESRCH : errno, link};
  const Fd directory = walk_in_memory(root.get(), path.substr(0, slash));
  if (!directory) return Error{errno, path};
  if (!is_on(directory.get(), wanted.directory, S_IFDIR)) return Error{EXDEV, path};
  // A procfs or sysfs has no name in memory for sure; there the kernel itself answers.
  const Fd place(
      ::openat(directory.get(), path.c_str() + slash + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!place) return Error{errno, path};
  if (!is_on(place.get(), wanted.device, S_IFREG)) return Error{EXDEV, path};
  // Opens the file that was checked, wherever its path leads by now.
  const std::string again = "self/fd/" + std::to_string(place.get());
  const Fd file(::openat(procfs_fd, again.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) return Error{errno, path};
  std::string text;
  if (const int code = read_stream(file.get(), max_bytes, text); code != 0) {
    return Error{code, path};
  }
  return text;
}

}  // namespace vprocfs
