#pragma once

#include <cstddef>
#include <cstdint>

#include "container/cpu_history.h"
#include "facts/cpu.h"

namespace vprocfs {

// The kernel counts CPU time anew in each cgroup of v1 that a container is moved to.

/// Takes in the last reading of cgroups that may not be the container's any more: what is new in it
/// waits for the next report.
void note_last(CpuHistory& history, const CpuUsageFacts& last);

/// Goes on from the first reading of other cgroups: of those of CPU time (`is_time`), of those with
/// the quota (`is_quota`), or of both. All of it is the container's if `cpus` can have used so much
/// in the `within_us` in which it was moved; else others were there before, and none of it is.
void begin_elsewhere(CpuHistory& history, const CpuUsageFacts& first, bool is_time, bool is_quota,
                     uint64_t within_us, size_t cpus);

}  // namespace vprocfs
