#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "facts/cgroup.h"
#include "facts/cpu.h"
#include "facts/host.h"
#include "facts/io.h"
#include "facts/memory.h"
#include "facts/node.h"
#include "facts/pressure.h"
#include "facts/shape.h"

namespace vprocfs {

/// Times of a container.
struct ClockFacts {
  uint64_t uptime_us = 0;  ///< since the container's init started (boot time clock)
  uint64_t btime_s = 0;    ///< what /proc/stat's btime says: constant for a container's life
  /// Idle time that is not of this clock: the container's CPUs had it before the clock began.
  uint64_t idle_before_us = 0;
};

/// Which inputs a view needs. Gathering fills these and nothing else.
enum Need : uint32_t {
  kNeedNothing = 0,
  kNeedHostMeminfo = 1u << 0,
  kNeedHostStat = 1u << 1,
  kNeedHostCpuinfo = 1u << 2,
  kNeedPressureIrq = 1u << 3,  ///< see kNeedPressureCpu
  kNeedMemory = 1u << 4,       ///< memory figures and limits, swap
  kNeedCpus = 1u << 5,         ///< which CPUs are shown
  kNeedCpuReport = 1u << 6,    ///< CPU time counters
  kNeedClock = 1u << 7,        ///< uptime, btime
  kNeedTasks = 1u << 8,        ///< running and blocked tasks
  kNeedLoad = 1u << 9,         ///< load averages too, which the first who asks waits for
  // At most one of these and kNeedPressureIrq: a view is about one resource.
  kNeedPressureCpu = 1u << 10,
  kNeedPressureMemory = 1u << 11,
  kNeedPressureIo = 1u << 12,
  kNeedIo = 1u << 16,         ///< what the container read and wrote, by device
  kNeedEvents = 1u << 24,     ///< events of memory.stat
  kNeedPageSize = 1u << 25,   ///< sizes of pages
  kNeedTotals = 1u << 26,     ///< totals of I/O, and OOM kills
  kNeedHostNodes = 1u << 27,  ///< memory nodes of the host
// Files of the host: kNeedHostDiskstats and so on.
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  kNeedHost##Name = 1u << (bit),
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE
// Figures of cgroups: kNeedNodeUse and so on.
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) kNeed##Name = 1u << (bit),
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS
  /// Memory nodes, of the host and of the container. On a host without nodes the container's are
  /// not looked for.
  kNeedNodes = kNeedHostNodes | kNeedAllowedNodes | kNeedNodeUse,
};

// Needs that imply others: a view that names any of these gets the facts of the first one.
constexpr uint32_t kAnyMemory = kNeedMemory | kNeedEvents | kNeedTotals;
constexpr uint32_t kAnyCpus = kNeedCpus | kNeedCpuReport;
constexpr uint32_t kAnyIo = kNeedIo | kNeedTotals;

/// The resource whose pressure is needed.
constexpr std::optional<PressureResource> pressure_needed(uint32_t needs) {
  if ((needs & kNeedPressureCpu) != 0) return PressureResource::kCpu;
  if ((needs & kNeedPressureMemory) != 0) return PressureResource::kMemory;
  if ((needs & kNeedPressureIo) != 0) return PressureResource::kIo;
  if ((needs & kNeedPressureIrq) != 0) return PressureResource::kIrq;
  return std::nullopt;
}

/// All that a view may be told about one container at one moment. Parts that the view did not ask
/// for (see Need) are empty.
struct Facts {
  std::shared_ptr<const HostMeminfo> host_meminfo;
  std::shared_ptr<const HostStat> host_stat;
  std::shared_ptr<const HostCpuinfo> host_cpuinfo;
// host_diskstats and so on.
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  std::shared_ptr<const type> host_##name;
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE
// allowed_nodes and so on.
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) type name;
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS
  uint64_t page_kb = 4;    ///< the host's page size
  uint64_t thp_kb = 2048;  ///< that of its transparent huge pages
  MemoryFacts memory;
  /// Every size, with `memory`; nothing where no size is limited.
  std::shared_ptr<const std::vector<HostHugePool>> huge_pools;
  IoFacts io;
  IoTotals io_totals;
  /// The CPUs shown, decided by shown_cpus() (container/cpu_model.h) once for all files.
  CpuSet shown_cpus;
  /// CPUs that have a directory as offline ones have; see bare_cpus() (container/cpu_model.h).
  CpuSet bare_cpus;
  std::shared_ptr<const HostCpus> host_cpus;  ///< with shown_cpus
  /// What limits their time, for tools; nothing when unlimited.
  std::optional<CpuBandwidth> bandwidth;
  CpuReport cpu_report;
  ClockFacts clock;
  TaskFacts tasks;
  std::shared_ptr<const std::vector<HostNode>> host_nodes;  ///< ascending; empty without NUMA
  PressureFacts pressure;                                   ///< of the resource that is needed
};

}  // namespace vprocfs
