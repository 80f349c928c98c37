#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "source/cgroup_mounts.h"

namespace vprocfs {

/// The precision of the log's clock. A process that was younger than this when a record was logged
/// may have the PID of one that had just ended.
inline constexpr uint64_t kYoungUs = 100'000;

/// Longest delay between the kernel's crash report and the record about it (kauditd prints late).
/// Also how long the log may seem to be at its end while a record is being added.
inline constexpr uint64_t kPrintedLateUs = 400'000;
/// Longest time between the end of a process and the last record about it, as far as the log's
/// clock can tell. When tasks of the host end is not known, so a later one may have had the PID
/// since.
inline constexpr uint64_t kEndedUs = kYoungUs + kPrintedLateUs;

/// A process, or one of its threads, as it was found.
struct KnownProcess {
  std::vector<pid_t> numbers;  ///< its PID in each namespace that it is in, the host's first
  /// Inode numbers of these namespaces; of one that lives only its own is known, the others are 0.
  std::vector<uint64_t> namespaces;
  CgroupPaths cgroups;     ///< empty for a process that has ended
  uint64_t start_us = 0;   ///< CLOCK_BOOTTIME; of one that lives up to one tick too early
  uint64_t end_us = 0;     ///< likewise; 0: it lives
  bool is_killed = false;  ///< a signal has ended it or is about to
};

/// When something was logged about a process.
struct LogMoment {
  uint64_t at_us = 0;  ///< CLOCK_BOOTTIME, not before it was logged
  /// How much earlier or later it may have been, because the log's clock runs freely. 0: the record
  /// was read as soon as it was logged.
  uint64_t slack_us = 0;
  uint64_t least_us = 0;  ///< not after it was logged; 0: not known
};

/// The processes of a PID.
struct PidHolders {
  std::optional<KnownProcess> living;  ///< the one that has it
  std::optional<KnownProcess> ended;   ///< the latest one that had it and has ended
};

/// Whether to guess that a living process is meant that may have begun after the moment.
enum class Young : uint8_t { kNever, kMaybe };

/// The process that had the PID at a moment; nothing: that is not proven.
std::optional<KnownProcess> who_had(const PidHolders& holders, const LogMoment& moment,
                                    Young young = Young::kNever);

/// Whether both may be one process: it has ended and was not reaped yet.
bool may_be_same(const PidHolders& holders);
/// What is known of that one process by both.
KnownProcess merged(const PidHolders& holders);

}  // namespace vprocfs
