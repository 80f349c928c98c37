#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// Opens /dev/fuse and mounts it; returns the connection's descriptor. `type` is "fuse" or
/// "fuse.<subtype>", `source` what mount tables show. `kernel_permissions`: the kernel checks the
/// mode bits, which it must where it opens files without asking (contract `tick`). Errors carry the
/// path that failed.
Result<Fd> mount_fuse(const std::string& mountpoint, const std::string& type,
                      const std::string& source, bool kernel_permissions);

/// A descriptor of its own on the connection of another; `flags` are added to those of open(2).
/// Requests that were read from it fail when it is closed.
Result<Fd> clone_fuse(int connection, int flags);

/// Unmounts. First plainly, then lazily where it is busy: `lazy` tells. EINVAL: nothing is mounted.
Result<bool> unmount_fuse(const std::string& mountpoint, bool& lazy);

/// Ends a connection, whoever has it open: its readers get ENOTCONN. `device`: of its mount, which
/// must be there. As `/sys/fs/fuse/connections/N/abort`, which need not be mounted.
Result<bool> abort_fuse(uint64_t device);

}  // namespace vprocfs
