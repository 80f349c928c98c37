#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "base/result.h"

namespace vprocfs {

/// The first bytes of a regular file as a process sees it: in its mount namespace, below its root.
/// Whatever lies there was chosen by a container: links are followed within its root only, and what
/// is no regular file is not opened (EINVAL). Errors: ESRCH when the process is gone, else of
/// openat2(2), openat(2) and read(2).
Result<std::string> read_inside(int procfs_fd, pid_t pid, const std::string& path, size_t most);

}  // namespace vprocfs
