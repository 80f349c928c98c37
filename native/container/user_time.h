#pragma once

#include <algorithm>
#include <cstdint>

#include "base/wide.h"
#include "facts/cpu.h"

namespace vprocfs {

/// User time by its two kinds, µs.
struct UserTime {
  uint64_t user_us = 0, nice_us = 0;  ///< as in CpuUsageFacts
};

/// The user time of a reading, divided so that neither kind is below what was `seen` of the same
/// cgroup before. The kernel's sum never falls (kernel/sched/cputime.c, cputime_adjust), but nice
/// time can grow by more than the sum does: what is more is then user time until the sum has
/// caught up.
inline UserTime user_time_after(const CpuUsageFacts& seen, const CpuUsageFacts& reading) {
  const uint64_t sum = saturating_add(reading.user_us, reading.nice_us);
  const uint64_t grown = saturating_sub(sum, saturating_add(seen.user_us, seen.nice_us));
  const uint64_t nice =
      std::clamp(reading.nice_us, seen.nice_us, saturating_add(seen.nice_us, grown));
  return {saturating_sub(sum, nice), nice};
}

}  // namespace vprocfs
