#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "source/mount_table.h"

namespace vprocfs {

// What stands below a directory of sysfs that is covered as a whole: masks of the runtime (such as
// cpuN/thermal_throttle), and whatever else is mounted there. It is to be seen as before, so that a
// copy of it stands at the same place below the cover.

/// More mounts than this below one directory are no runtime's.
inline constexpr size_t kMaxBelow = 1024;

/// The places below the directory `path` at which something is mounted on the mount `on`, relative
/// to it, each once; without those that `leave` is true for.
std::vector<std::string> mounts_below(const MountTable& mounts, const std::string& path,
                                      uint64_t on,
                                      const std::function<bool(const MountEntry&)>& leave);

/// Masks a place as runtimes do, unless something is mounted there: `on` is the mount that the
/// directory itself is on. Nothing at that place is no failure. 0, or an errno value.
int mask(const Fd& directory, const std::string& place, uint64_t on);

/// A copy of what is mounted somewhere, on its way to the same place below another directory.
struct Carried {
  std::string place;
  Fd mount;  ///< detached
};

/// Copies of what is mounted at `places` below the directory `name` of `parent`, whatever covers
/// that by now. Places where nothing is mounted any more are left out. This process has to be in
/// the mount namespace that `parent` is of; it makes itself another for the moment. `own`: its
/// directory in a procfs. 0, or an errno value.
int copy_below(const Fd& parent, const std::string& name, const std::vector<std::string>& places,
               int own, std::vector<Carried>& copies);

/// Puts copies at their places below the detached mount `cover`, which becomes one that has them
/// from the beginning: nobody ever sees it without. Places that the cover does not have are passed
/// by. Makes itself a mount namespace for the moment, as above. 0, or an errno value.
int carry(const std::vector<Carried>& copies, Fd& cover, int own);

/// Has what is mounted at `places` below `directory` stand behind its cover in the order of the
/// kernel's list: `umount -R` of a copy of the whole goes by that order, and finds at their paths
/// what the cover has. As far as the kernel lets mounts be moved. `on`: the mount that the
/// directory is on.
void settle(const Fd& directory, const std::vector<std::string>& places, uint64_t on);

}  // namespace vprocfs
