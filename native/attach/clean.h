#pragma once

#include <functional>
#include <string>

#include "base/fd.h"
#include "source/mount_table.h"

namespace vprocfs {

// A user namespace may mount a procfs or sysfs of its own only where one is fully visible: mounted
// with its root, and nothing over any part of it (fs/namespace.c, mount_too_revealing()). Our files
// take that away, so copies without them are mounted, as LXC does in /dev/.lxc.
//
// A new mount namespace inherits the copies, also one in which systemd restricts a service. So they
// are in /sys, which ProtectKernelTunables= makes read-only with all that is mounted below it: the
// service can then neither write to them nor mount a procfs that is writable. Of /proc it makes
// only some directories read-only. The copies do not propagate, because a service that runs has
// been restricted already. What other services can see by them, is_exposed() finds.
//
// They are on an empty directory of every kernel: if they were mounts that nobody can reach by
// path, `umount -R` of a copy of all of /proc or /sys would fail. That directory is mounted on
// itself first, as a private mount: what is mounted on that stays in its namespace.

/// Where they are, below a sysfs.
inline constexpr char kCleanPlace[] = "bus/clocksource/drivers";

/// True if the procfs or sysfs `mount` would be fully visible without the mounts for which `passed`
/// is true.
bool is_visible(const MountTable& mounts, const MountEntry& mount,
                const std::function<bool(const MountEntry&)>& passed);

/// True for a copy that place_clean_copies() has mounted, or an earlier version elsewhere.
bool is_clean_copy(const MountEntry& mount);

/// True for the private mount below the copies.
bool is_clean_base(const MountEntry& mount);

/// True for a copy that has more than the procfs or sysfs that its namespace has at /proc or /sys.
bool is_exposed(const MountTable& mounts, const MountEntry& copy);

/// What place_clean_copies() is to do below one root.
struct CleanRoot {
  std::string root;
  bool proc = false, sysfs = false;  ///< which to copy
  bool has_base = false;             ///< the private mount is there
};

/// Mounts copies of the file systems of the two descriptors at that place of `sysfs`. 0, or an
/// errno value.
int place_clean_copies(const Fd& proc, const Fd& sysfs, const CleanRoot& what);

}  // namespace vprocfs
