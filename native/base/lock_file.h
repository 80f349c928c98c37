#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/fd.h"

namespace vprocfs {

/// Opens the file at `path` and locks it (flock(2), LOCK_SH or LOCK_EX), without waiting. The
/// locked file is the one that the path names: it tries again if another process has replaced that
/// meanwhile. Empty with errno set: EWOULDBLOCK if another process has the lock.
inline Fd lock_file(const char* path, int flags, int operation) {
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    Fd file(::open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file || ::flock(file.get(), operation | LOCK_NB) != 0) return Fd();
    struct stat locked {
    }, named{};
    if (::fstat(file.get(), &locked) == 0 && ::lstat(path, &named) == 0 &&
        locked.st_dev == named.st_dev && locked.st_ino == named.st_ino) {
      return file;
    }
  }
  errno = EAGAIN;
  return Fd();
}

}  // namespace vprocfs
