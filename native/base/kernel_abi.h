#pragma once

#include <sys/ioctl.h>

#include <cstdint>

namespace vprocfs {

// Constants that not all kernel headers have with which we are built.

/// NS_GET_PARENT of <linux/nsfs.h>: the namespace around one.
inline constexpr unsigned long kNsGetParent = _IO(0xb7, 0x2);
/// NS_GET_TGID_FROM_PIDNS of <linux/nsfs.h>: our PID of a process by its PID there. Linux 6.11.
inline constexpr unsigned long kNsGetTgidFromPidns = _IOR(0xb7, 0x7, int);
/// RESOLVE_CACHED of openat2(2): fails with EAGAIN where a file system would have to be asked.
/// Linux 5.12.
inline constexpr uint64_t kResolveCached = 0x20;

}  // namespace vprocfs
