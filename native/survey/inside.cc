#include "survey/inside.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"

namespace vprocfs {

Result<std::string> read_inside(int procfs_fd, pid_t pid, const std::string& path, size_t most) {
  const std::string link = std::to_string(pid) + "/root";
  const Fd root(::openat(procfs_fd, link.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Error{errno == ENOENT ? ESRCH : errno, link};
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const Fd place(
      static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof(how))));
  if (!place) return Error{errno, path};
  struct stat st {};
  if (::fstat(place.get(), &st) != 0) return Error{errno, path};
  if (!S_ISREG(st.st_mode)) return Error{EINVAL, path};
  // What was looked at is what gets opened, whatever its path leads to by now.
  const std::string again = "self/fd/" + std::to_string(place.get());
  const Fd file(::openat(procfs_fd, again.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) return Error{errno, path};
  std::string text;
  char buffer[16384];
  while (text.size() < most) {
    const ssize_t n = ::read(file.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{errno, path};
    if (n == 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

}  // namespace vprocfs
