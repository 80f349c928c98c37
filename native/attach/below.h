#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "source/mount_table.h"

namespace vprocfs {

// Mounts below a directory of sysfs that is covered as a whole: masks of the runtime (such as
// cpuN/thermal_throttle), and whatever else is mounted there. They must stay visible, so copies of
// them are mounted at the same places below the cover.

/// No runtime makes more mounts than this below one directory.
inline constexpr size_t kMaxBelow = 1024;

/// The places below the directory `path`, relative to it and each once, at which something is
/// mounted on the mount `on`; without the mounts for which `leave` is true. Returns no more than
/// kMaxBelow + 1.
std::vector<std::string> mounts_below(const MountTable& mounts, const std::string& path,
                                      uint64_t on,
                                      const std::function<bool(const MountEntry&)>& leave);

/// Masks a place as runtimes do, unless something is mounted there: `on` is the mount that the
/// directory itself is on. Nothing at that place is no failure. 0, or an errno value.
int mask(const Fd& directory, const std::string& place, uint64_t on);

/// A copy of what is mounted somewhere, for the same place below another directory.
struct MountCopy {
  std::string place;
  Fd mount;  ///< detached
};

/// Copies the mounts at `places` below the directory `name` of `parent`, even if something covers
/// them by now. Places where nothing is mounted any more are left out. This process must be in the
/// mount namespace of `parent`; it enters a new one for a moment. 0, or an errno value.
int copy_below(const Fd& parent, const std::string& name, const std::vector<std::string>& places,
               std::vector<MountCopy>& copies);

/// Mounts the copies at their places below the detached mount `cover` before it is attached, so
/// nobody ever sees the cover without them. Skips places that the cover does not have. Enters a new
/// mount namespace for a moment, as above. 0, or an errno value.
int place_copies(const std::vector<MountCopy>& copies, Fd& cover);

/// Moves the mounts at `places` below `directory` behind their cover in the kernel's list of
/// mounts, as far as the kernel allows it. `umount -R` of a copy of the whole tree works through
/// that list, and finds the cover's mounts at these paths. `on`: the mount that the directory is
/// on.
void move_behind_cover(const Fd& directory, const std::vector<std::string>& places, uint64_t on);

}  // namespace vprocfs
