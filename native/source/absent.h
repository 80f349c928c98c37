#pragma once

#include <cerrno>

namespace vprocfs {

/// True for errors that say that the kernel has no such file, or none for us (EBADF: no root to
/// look below). After any other one, as EMFILE or ENOMEM, nobody knows.
inline bool is_absent(int code) {
  return code == ENOENT || code == ENOTDIR || code == ENODEV || code == EACCES || code == EBADF;
}

}  // namespace vprocfs
