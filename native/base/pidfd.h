#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/fd.h"

namespace vprocfs {

/// A pidfd of a process. The PID may have been reused before the call, so a caller that means a
/// certain process must check afterwards that it got that one. Not open, with errno, on failure:
/// ESRCH if there is none, ENOSYS before Linux 5.3.
inline Fd open_pidfd(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

/// The same of one thread, ready as soon as that has ended, whatever becomes of its process. Not
/// open, with EINVAL, before Linux 6.9.
inline Fd open_thread_pidfd(pid_t thread) {
  return Fd(static_cast<int>(::syscall(SYS_pidfd_open, thread, O_EXCL)));  // PIDFD_THREAD
}

/// Whether the process of a pidfd has ended, or does within so many milliseconds.
inline bool has_ended(const Fd& pidfd, int wait_ms = 0) {
  pollfd p{pidfd.get(), POLLIN, 0};
  return ::poll(&p, 1, wait_ms) > 0;
}

}  // namespace vprocfs
