#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <string>

#include "source/mount_kind.h"

namespace vprocfs {

/// Mount points below /proc and /sys that a process has.
struct Mounted {
  size_t ours = 0;
  size_t lxcfs = 0;  ///< of an LXCFS that lives
};

/// "major:minor" of file systems.
using Devices = std::set<std::string, std::less<>>;

/// What an LXCFS has mounted on the host, by our own mountinfo: one that is stopped takes it away,
/// and what containers have of it is dead.
Devices lxcfs_devices(int procfs_fd, const MountIdentity& identity);

/// Counted in a process's mountinfo, however long that is. Nothing where that cannot be read.
std::optional<Mounted> mounted_files(int procfs_fd, int pid, const MountIdentity& identity,
                                     const Devices& lxcfs);

}  // namespace vprocfs
