#pragma once

#include <array>
#include <cstdint>

#include "facts/facts.h"

namespace vprocfs {

/// What sysinfo(2) says of a container: the figures of /proc/meminfo, /proc/uptime and
/// /proc/loadavg. Amounts in bytes.
struct SysinfoFigures {
  uint64_t uptime_s = 0;            ///< rounded up, as the kernel does (kernel/sys.c, do_sysinfo)
  std::array<uint64_t, 3> loads{};  ///< fixed point with SI_LOAD_SHIFT (16) bits after the point
  uint64_t total = 0, free = 0, shared = 0, buffers = 0;
  uint64_t swap_total = 0, swap_free = 0;
  uint64_t tasks = 0;
};

/// The facts that they need.
inline constexpr uint32_t kSysinfoNeeds =
    kNeedHostMeminfo | kNeedMemory | kNeedLoad | kNeedTasks | kNeedClock;

/// An uptime as in SysinfoFigures.
uint64_t uptime_seconds(uint64_t uptime_us);

/// From `facts.host_meminfo` (not null), memory, tasks and clock.
SysinfoFigures sysinfo_figures(const Facts& facts);

}  // namespace vprocfs
