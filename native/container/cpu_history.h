#pragma once

#include <cstdint>
#include <vector>

#include "facts/cpu.h"

namespace vprocfs {

/// One reading of the kernel's figures for a container.
struct CpuSample {
  uint64_t uptime_us = 0;  ///< of the container, at the time of the reading
  CpuUsageFacts usage;
  CpuSet shown;        ///< never empty
  CpuSet host_cpuset;  ///< the effective cpuset: where per-CPU usage can come from
};

/// What a container's CPUs have reported so far: the only thing that makes counters monotonic over
/// limit changes, quota bursts, and restarts (it is kept in the state file as plain numbers).
struct CpuHistory {
  struct Cpu {
    uint32_t id = 0;
    bool shown = false;                             ///< on the last report
    CpuCounters counters;                           ///< as last shown; none while hidden
    uint64_t seen_user_us = 0, seen_system_us = 0;  ///< v1: the host CPU's highest readings
  };
  uint64_t uptime_us = 0;  ///< of the last sample
  CpuUsageFacts seen;      ///< the highest raw totals so far; of throttled time, what was reported
  /// Used, and not yet reported.
  uint64_t pending_user_us = 0, pending_nice_us = 0, pending_system_us = 0;
  /// Ascending by id: all that were ever shown, and on v1 those whose use is shown on others.
  std::vector<Cpu> cpus;
};

/// Takes a new sample into `history` and returns what to show. Whatever the samples say:
///  - no counter ever decreases from one report to the next, neither per CPU nor in sum, in µs as
///    in the whole ticks that /proc/stat prints;
///  - between two reports with the same CPUs no CPU gains more than the uptime between them, and
///    busy + steal + idle gain exactly that much (idle is the rest);
///  - time used above what n CPUs could use in the interval (quota bursts) is kept pending and
///    reported in later intervals, up to the longest burst that the kernel allows, and likewise
///    throttled time that does not fit; what is beyond that is dropped;
///  - samples that go backwards (vanished or replaced cgroup) count as no use.
///
/// The first sample covers the interval since the container's start. CPU time is spread over the
/// CPUs in the proportions of per_cpu (which never changes the total), or evenly in whole ticks.
///
/// An interval belongs to the CPUs of the report before it. When n shrinks, the counters of the
/// CPUs that disappear, with their part of the interval, move evenly to those that stay (to all
/// where none stays), in that one report, since the `cpu` line is the exact sum of the shown lines
/// and may not decrease. Therefore a CPU that appears, or comes back, starts from 0: if it
/// continued from its old value, that time would count twice, and again with every change.
CpuReport advance(CpuHistory& history, const CpuSample& sample);

}  // namespace vprocfs
