#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "klog/oom_kill.h"

namespace vprocfs {

/// Where a process was killed, as seen from a container.
enum class KillPlace : uint8_t { kElsewhere, kOwn, kBelow };

/// Whether a kill was in the cgroup that has this path now; nothing: that is not known.
using HadKill = std::function<std::optional<bool>(const std::string& path)>;

/// `own` is the container's memory cgroup, `oldest_us` its oldest known start (CLOCK_BOOTTIME):
/// what was killed in a cgroup of that name before is another one's. `had_kill` is asked only if
/// the kill's time leaves open whether it was before.
KillPlace place_of(const OomKill& kill, const std::string& own, uint64_t oldest_us,
                   const HadKill& had_kill);

}  // namespace vprocfs
