#pragma once

#include <cstdint>
#include <vector>

#include "container/quotas_above.h"
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
    CpuCounters counters;                           ///< as last shown
    uint64_t seen_user_us = 0, seen_system_us = 0;  ///< v1: the host CPU's highest readings
  };
  uint64_t uptime_us = 0;  ///< of the last sample
  CpuUsageFacts seen;      ///< the highest raw totals so far; of throttled time the last one
  QuotasAbove above;
  /// Used, and not yet reported.
  uint64_t pending_user_us = 0, pending_nice_us = 0, pending_system_us = 0;
  /// Throttled in intervals that were reported before the kernel told, and not yet reported.
  uint64_t pending_steal_us = 0;
  /// Time without use since the kernel last told of throttled time: so much of that may be from
  /// before an interval.
  uint64_t untold_us = 0;
  /// Ascending by id: all that were ever shown, and on v1 those whose use is shown on others.
  std::vector<Cpu> cpus;
};

/// The entry of one of the host's CPUs, which is added where there is none.
CpuHistory::Cpu& cpu_at(CpuHistory& history, uint32_t id);

/// Takes a new sample into `history` and returns what to show. Whatever the samples say:
///  - no counter ever decreases from one report to the next, neither per CPU nor in sum, in µs as
///    in the whole ticks that /proc/stat prints;
///  - between two reports no CPU gains more than the uptime between them; one that is on both gains
///    exactly that much in busy + steal + idle (idle is the rest);
///  - time used is reported up to what n CPUs could use in the interval, n being the larger of the
///    numbers of CPUs on the report before and on this one. What is above that (quota bursts) is
///    kept pending and reported in later intervals, up to the longest burst that the kernel allows;
///    what is beyond that is dropped. Throttled time, which the kernel tells when it ends, is
///    reported later as far as intervals before have been reported as idle for it;
///  - samples that go backwards (vanished or replaced cgroup) count as no use.
///
/// The first sample covers the interval since the container's start. CPU time is spread over the
/// CPUs in the proportions of per_cpu (which never changes the total), or evenly in whole ticks.
///
/// An interval belongs to the CPUs of the report before it. Use that these had no time for goes to
/// the CPUs that are new on this one, which gain nothing else: samples do not say when they came,
/// and they are taken to have come as late as their use allows. A machine shows the same whose CPUs
/// come online at that moment and are busy from then on.
///
/// A CPU that disappears keeps its counters, as one that goes offline does (fs/proc/stat.c): they
/// stay in the `cpu` line, which sums up all possible CPUs, and go on when it comes back. Moved to
/// others they would look like days of CPU time within one interval to programs that watch the
/// lines of single CPUs.
CpuReport advance(CpuHistory& history, const CpuSample& sample);

/// Whether there was a report, with other CPUs than `shown`. A sample that is taken as soon as this
/// is so gives each interval to the CPUs that it had, whether its report is printed or not.
bool cpus_changed(const CpuHistory& history, const CpuSet& shown);

}  // namespace vprocfs
