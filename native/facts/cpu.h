#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "facts/cpu_set.h"

namespace vprocfs {

/// A CFS quota, as cpu.max or cpu.cfs_{quota,period}_us: at most `quota_us` of CPU time in every
/// `period_us` of wall time.
struct CpuBandwidth {
  uint64_t quota_us = 0;
  uint64_t period_us = 0;  ///< never 0
};

/// What limits the CPUs of a container.
struct CpuLimitFacts {
  /// The effective cpuset; nothing where no cpuset controller applies.
  std::optional<CpuSet> cpuset;
  /// The smallest quota/period ratio along the ancestor chain; nothing when unlimited.
  std::optional<CpuBandwidth> bandwidth;
};

/// CPU time on one of the host's CPUs, µs since the cgroup was made.
struct PerCpuUsage {
  uint32_t cpu = 0;  ///< the host's id
  uint64_t user_us = 0, system_us = 0;
};

/// How many cgroups above a container are asked for the time that their quotas take. Containers
/// choose how deep they nest, and for each of these all between are looked at.
inline constexpr size_t kQuotaLevels = 8;

/// A cgroup above a container that has a quota.
struct QuotaAbove {
  size_t level = 1;  ///< 1: the parent; at most kQuotaLevels
  /// Time throttled by this quota alone, µs; nothing while others than the container are below it
  /// too: nothing tells whose time it was.
  std::optional<uint64_t> throttled_us;
};

/// CPU time of a container since its cgroup was made, as the kernel tells it. µs.
struct CpuUsageFacts {
  uint64_t user_us = 0;  ///< without nice
  /// The kernel counts it by the tick, but the sum of both as it was used: of two readings the
  /// later one may have less user time (see user_time_after()).
  uint64_t nice_us = 0;
  /// False: the kernel does not tell nice time (v1; v2 of old kernels). It is in `user_us`.
  bool tells_nice = false;
  uint64_t system_us = 0;
  /// Time throttled by the quota, summed over CPUs by the kernel, so it may exceed wall time.
  uint64_t throttled_us = 0;
  /// Quotas that the kernel does not count there (before 6.6).
  std::vector<QuotaAbove> quotas_above;
  std::vector<PerCpuUsage> per_cpu;  ///< v1 only; empty where the kernel does not tell
};

/// What one shown CPU has reported so far. µs; each field only ever grows.
struct CpuCounters {
  uint64_t user_us = 0, nice_us = 0, system_us = 0, idle_us = 0, steal_us = 0;
};

/// What /proc/stat and /proc/uptime print of a container's CPUs.
struct CpuReport {
  struct Cpu {
    uint32_t id = 0;
    CpuCounters counters;
  };
  std::vector<Cpu> cpus;  ///< the shown CPUs, ascending by id
  /// Of CPUs that were shown before and are not now: no lines of their own, but part of all sums.
  std::vector<CpuCounters> hidden;
};

/// Tasks of a container (threads, as for the kernel), and what follows from counting them.
struct TaskFacts {
  uint64_t running = 1;   ///< running or runnable; the reader itself is one
  uint64_t blocked = 0;   ///< in uninterruptible sleep
  uint64_t total = 1;     ///< all
  uint64_t last_pid = 1;  ///< the newest, as seen in the container's PID namespace
  /// Averages over 1, 5 and 15 minutes of running and blocked tasks: fixed point with 11 bits after
  /// the point, as the kernel's own (kFixedOne).
  std::array<uint64_t, 3> load{};
};

/// 1.00 in TaskFacts::load (FIXED_1 of include/linux/sched/loadavg.h).
inline constexpr uint64_t kFixedOne = 1u << 11;

}  // namespace vprocfs
