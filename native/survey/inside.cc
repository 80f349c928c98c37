#include "survey/inside.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/cached_stat.h"
#include "base/fd.h"
#include "base/kernel_abi.h"
#include "base/memory_walk.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr int kAttempts = 50;

/// O_PATH descriptor of a path below `root`.
Fd open_in_memory(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | kResolveCached;
  return walk_in_memory(cached_stat(root, "", AT_EMPTY_PATH).owner, kAttempts, [&] {
    return Fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how))));
  });
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
  const Fd directory = open_in_memory(root.get(), path.substr(0, slash));
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
