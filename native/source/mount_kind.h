#pragma once

#include <string_view>

#include "source/mount_table.h"

namespace vprocfs {

/// How mounts of ours look in mount tables unless they are configured to look otherwise;
/// src/config.ts has the same.
constexpr std::string_view kDefaultType = "fuse.lxcfs", kDefaultSource = "vprocfs";

/// How mounts of ours look in mount tables. Both are borrowed.
struct MountIdentity {
  std::string_view type = kDefaultType, source = kDefaultSource;
};

/// True for mounts made by a vprocfs of this or of the default configuration.
bool is_ours(const MountEntry& mount, const MountIdentity& identity);

/// True for mounts of FUSE, whatever is behind them.
bool is_fuse(const MountEntry& mount);

/// True for mounts of LXCFS, which are of type "fuse.lxcfs", as ours are by default: the source
/// tells. A vprocfs that is configured to have LXCFS's own source is ours.
bool is_lxcfs(const MountEntry& mount, const MountIdentity& identity);

}  // namespace vprocfs
