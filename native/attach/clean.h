#pragma once

#include <functional>
#include <string>

#include "base/fd.h"
#include "source/mount_table.h"

namespace vprocfs {

// A user namespace may mount a procfs or sysfs of its own only where one is fully visible: mounted
// with its root, and nothing over any part of it (fs/namespace.c, mount_too_revealing()). Files of
// ours take that away, so that copies without them are kept, as LXC keeps them in /dev/.lxc. They
// stand on /proc/tty/ldisc, a directory that is empty on every kernel: mounts that nobody can reach
// by their path would have `umount -R` of a copy of all of /proc or /sys fail.

/// True when user namespaces could mount their own, were it not for mounts that `passed` is true
/// for. `mount` is a procfs or sysfs.
bool is_visible(const MountTable& mounts, const MountEntry& mount,
                const std::function<bool(const MountEntry&)>& passed);

/// True for the copies that are kept.
bool is_clean_copy(const MountEntry& mount);

/// Where the copies stand below a procfs.
inline constexpr char kCleanPlace[] = "tty/ldisc";

/// Puts copies of what the two descriptors are on at that place of `proc`; of what is wanted of
/// them. 0, or an errno value.
int keep_clean(const Fd& proc, const Fd& sysfs, bool of_proc, bool of_sysfs);

}  // namespace vprocfs
