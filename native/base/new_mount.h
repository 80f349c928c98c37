#pragma once

#include <unistd.h>

#include "base/fd.h"

namespace vprocfs {

/// A mount of a new file system of the kernel's ("proc") that is mounted nowhere; `attributes` as
/// of fsmount(2). Empty, with errno, on failure.
inline Fd new_mount(const char* type, unsigned attributes = 0) {
  // <linux/mount.h> clashes with <sys/mount.h> on glibc before 2.37. Older headers lack the calls,
  // and all architectures that we build for have one number for each.
  constexpr long kFsopen = 430, kFsconfig = 431, kFsmount = 432;
  constexpr unsigned kCloseOnExec = 1, kCreate = 6;
  const Fd context(static_cast<int>(::syscall(kFsopen, type, kCloseOnExec)));
  if (!context || ::syscall(kFsconfig, context.get(), kCreate, nullptr, nullptr, 0) != 0) {
    return Fd();
  }
  return Fd(static_cast<int>(::syscall(kFsmount, context.get(), kCloseOnExec, attributes)));
}

}  // namespace vprocfs
