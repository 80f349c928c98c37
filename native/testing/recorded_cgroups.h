#pragma once

#include "base/result.h"
#include "source/cgroup_mounts.h"

namespace vprocfs {

/// Of a recorded tree that mirrors /sys/fs/cgroup: cgroup2 when `dir` has cgroup.controllers,
/// otherwise one directory per v1 controller and `unified` for a cgroup2 tree beside them.
Result<CgroupMounts> recorded_cgroups(int dir_fd);

}  // namespace vprocfs
