#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "facts/cpu.h"
#include "facts/host.h"
#include "facts/memory.h"

namespace vprocfs {

/// Times of a container.
struct ClockFacts {
  uint64_t uptime_us = 0;  ///< since the container's init started (boot time clock)
  uint64_t btime_s = 0;    ///< what /proc/stat's btime says: constant for a container's life
};

/// Which inputs a view needs. Gathering fills these and nothing else.
enum Need : uint32_t {
  kNeedHostMeminfo = 1u << 0,
  kNeedHostStat = 1u << 1,
  kNeedHostCpuinfo = 1u << 2,
  kNeedHostSwaps = 1u << 3,
  kNeedMemory = 1u << 4,     ///< memory figures and limits, swap
  kNeedCpus = 1u << 5,       ///< which CPUs are shown
  kNeedCpuReport = 1u << 6,  ///< CPU time counters; implies kNeedCpus
  kNeedClock = 1u << 7,      ///< uptime, btime
  kNeedTasks = 1u << 8,      ///< running and blocked tasks
};

/// All that a view may be told about one container at one moment. Parts that the view did not ask
/// for (see Need) are empty.
struct Facts {
  std::shared_ptr<const HostMeminfo> host_meminfo;
  std::shared_ptr<const HostStat> host_stat;
  std::shared_ptr<const HostCpuinfo> host_cpuinfo;
  std::shared_ptr<const std::vector<HostSwapDevice>> host_swaps;
  MemoryFacts memory;
  /// The CPUs shown, decided by shown_cpus() (container/cpu_model.h) once for all files.
  CpuSet shown_cpus;
  /// What limits their time, for tools; nothing when unlimited.
  std::optional<CpuBandwidth> bandwidth;
  CpuReport cpu_report;
  ClockFacts clock;
  TaskFacts tasks;
};

}  // namespace vprocfs
