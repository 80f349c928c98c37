#pragma once

#include <functional>

#include "base/fd.h"
#include "source/mount_table.h"

namespace vprocfs {

// A user namespace may mount a procfs or sysfs of its own only where one is fully visible: mounted
// with its root, and nothing over any part of it (fs/namespace.c, mount_too_revealing()). Our files
// take that away, so copies without them are mounted, as LXC does in /dev/.lxc. They are on
// /proc/tty/ldisc, a directory that is empty on every kernel: if they were mounts that nobody can
// reach by path, `umount -R` of a copy of all of /proc or /sys would fail.

/// True if the procfs or sysfs `mount` would be fully visible without the mounts for which `passed`
/// is true.
bool is_visible(const MountTable& mounts, const MountEntry& mount,
                const std::function<bool(const MountEntry&)>& passed);

/// True for a copy that place_clean_copies() has mounted.
bool is_clean_copy(const MountEntry& mount);

/// Where the copies stand below a procfs.
inline constexpr char kCleanPlace[] = "tty/ldisc";

/// Mounts copies of the file systems of the two descriptors at that place of `proc`: of procfs if
/// `of_proc`, of sysfs if `of_sysfs`. 0, or an errno value.
int place_clean_copies(const Fd& proc, const Fd& sysfs, bool of_proc, bool of_sysfs);

}  // namespace vprocfs
