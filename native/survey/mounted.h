#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "source/mount_kind.h"

namespace vprocfs {

/// Mount points below /proc and /sys that a process has.
struct Mounted {
  size_t ours = 0;   ///< of a vprocfs that is mounted on the host
  size_t lxcfs = 0;  ///< of an LXCFS that is
  /// Of a vprocfs or LXCFS that is not any more: reading them fails. Without those that another
  /// mount covers, whatever it is of. Of many only the first ones are looked at.
  size_t dead = 0;
};

/// "major:minor" of file systems.
using Devices = std::set<std::string, std::less<>>;

/// The file systems that vprocfs and LXCFS have mounted on the host. Those of one that has ended
/// are unmounted there, by itself or by the next one, and containers' mounts of them are dead.
/// Nothing: the host's mounts cannot be read.
std::optional<Devices> live_devices(int procfs_fd, const MountIdentity& identity);

/// Counts a process's mounts in its mountinfo. Nothing: it cannot be read, or not with so much CPU
/// time.
std::optional<Mounted> mounted_files(int procfs_fd, int pid, const MountIdentity& identity,
                                     const Devices& live, uint64_t cpu_us);

}  // namespace vprocfs
