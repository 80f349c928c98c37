#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace vprocfs {

/// The attributes of a file that the kernel has in memory. All zeros: there is none, or it cannot
/// be reached.
struct CachedStat {
  uint64_t device = 0;  ///< of its file system, makedev(3)
  uint64_t inode = 0;
  mode_t mode = 0;  ///< at least the type
  uid_t owner = 0;
};

/// statx(2) of a path without asking the server of its file system, which may never answer.
/// `flags`: as for statx(2).
inline CachedStat cached_stat(int directory, const char* path, int flags) {
  constexpr int kUnasked = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
  struct statx found {};
  constexpr unsigned kFields = STATX_TYPE | STATX_INO | STATX_UID;
  if (::statx(directory, path, kUnasked | flags, kFields, &found) != 0) return {};
  return {makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino, found.stx_mode,
          found.stx_uid};
}

/// A device as mountinfo has it, "major:minor".
inline std::string device_text(uint64_t device) {
  return std::to_string(major(device)) + ":" + std::to_string(minor(device));
}

}  // namespace vprocfs
