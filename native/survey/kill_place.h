#pragma once

#include <cstdint>
#include <string>

#include "klog/oom_kill.h"

namespace vprocfs {

/// Where a process was killed, as seen from a container.
enum class KillPlace : uint8_t { kElsewhere, kOwn, kBelow };

/// `own` is the container's memory cgroup, `oldest_us` its oldest known start (CLOCK_BOOTTIME):
/// what was killed in a cgroup of that name before is another one's.
KillPlace place_of(const OomKill& kill, const std::string& own, uint64_t oldest_us);

}  // namespace vprocfs
