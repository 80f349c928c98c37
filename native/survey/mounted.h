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
  size_t lxcfs = 0;  ///< of a running LXCFS
};

/// "major:minor" of file systems.
using Devices = std::set<std::string, std::less<>>;

/// The file systems that LXCFS has mounted on the host. An LXCFS that stops unmounts its own, and
/// containers' mounts of it are dead then.
Devices lxcfs_devices(int procfs_fd, const MountIdentity& identity);

/// Counts a process's mounts in its mountinfo, however long that is. Nothing: it cannot be read.
std::optional<Mounted> mounted_files(int procfs_fd, int pid, const MountIdentity& identity,
                                     const Devices& lxcfs);

}  // namespace vprocfs
