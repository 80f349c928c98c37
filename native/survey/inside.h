#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "base/result.h"

namespace vprocfs {

/// A file that something is mounted on in a procfs or a sysfs. Devices are "major:minor", as in
/// mountinfo.
struct MountedFile {
  std::string path;       ///< such as "/proc/meminfo"
  std::string device;     ///< of what is mounted there
  std::string directory;  ///< of the procfs or sysfs
};

/// The first bytes of a file as a process sees it: in its mount namespace, below its root. Only the
/// kernel and the server of that mount are asked, never one that the process may have chosen: the
/// path to the directory is resolved in the kernel's memory (Linux 5.12), where every place with a
/// mount is cached. Errors: EAGAIN when that does not lead there, EXDEV when something else is
/// there, ESRCH when the process is gone, else of openat(2) and read(2).
Result<std::string> read_inside(int procfs_fd, pid_t pid, const MountedFile& file,
                                size_t max_bytes);

}  // namespace vprocfs
