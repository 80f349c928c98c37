#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "klog/known_process.h"

namespace vprocfs {

/// Finds the process that a crash record is about. The record has only a PID, which another process
/// may have a moment later. The process that crashed is being killed or has ended since, and the
/// kernel reports each crash a second time, through the process connector, on the clock that start
/// times of processes use. Either may be read first. Not thread-safe.
class Crashes {
 public:
  /// The kernel reported that the process with that PID crashed at `at_us`, CLOCK_BOOTTIME.
  /// `holders`: which processes have been found with the PID since.
  void add(pid_t pid, uint64_t at_us, const PidHolders& holders);

  /// Reports were lost up to `now_us`, CLOCK_BOOTTIME: each may have been about any process.
  void note_loss(uint64_t now_us) { lost_us_ = now_us; }

  /// Whether a crash of a process with that PID was reported within the last seconds, or its report
  /// may be lost, and not before `least_us`.
  bool has_report(pid_t pid, uint64_t least_us, uint64_t now_us) const;

  /// Whether the living one of these processes may have begun after all crashes of its PID that
  /// were reported within the last seconds; false if the report of one may be lost.
  bool is_of_later(pid_t pid, const LogMoment& moment, const PidHolders& holders,
                   uint64_t now_us) const;

  /// Whether the report may be about a process that began within the same tick. This becomes
  /// certain when that process has ended.
  bool is_uncertain(pid_t pid, const PidHolders& holders, uint64_t now_us) const;

  /// The process that a crash record of that moment is about; nothing: that is not proven.
  std::optional<KnownProcess> find(pid_t pid, const LogMoment& moment, const PidHolders& holders,
                                   uint64_t now_us) const;

 private:
  struct Crash {
    uint64_t at_us = 0;
    std::unique_ptr<KnownProcess> process;  ///< nullptr: not known
    bool is_sure = false;  ///< `process` did not get the PID later within the same tick

    bool is_recent(uint64_t now_us) const;
  };
  bool may_lack(uint64_t least_us, uint64_t now_us) const;

  uint64_t lost_us_ = 0;  ///< reports before it were lost
  std::multimap<pid_t, Crash> crashes_;
  using Order = std::deque<std::multimap<pid_t, Crash>::iterator>;
  Order order_;           ///< those, in the order in which they came
  Order with_processes_;  ///< those of them that have a process
};

}  // namespace vprocfs
