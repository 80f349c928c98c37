#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "klog/log_clock.h"
#include "klog/printers.h"
#include "klog/sorter.h"

namespace vprocfs {

/// Reads the host's kernel log (/dev/kmsg) once, from its oldest record on, and puts it into
/// groups. Not thread-safe.
class HostLog {
 public:
  HostLog();

  /// Has records tell who printed them, as far as that is known.
  void know_printers(std::unique_ptr<Printers> printers) { printers_ = std::move(printers); }

  bool readable() const { return static_cast<bool>(kmsg_); }
  /// Why it is not; empty when it is.
  const std::string& problem() const { return problem_; }
  int fd() const { return kmsg_.get(); }

  /// Reads up to so many records. False: there is no more at the moment.
  bool read_some(size_t count);
  /// The next group that is whole.
  std::optional<LogGroup> next();
  /// The latest kills that groups told of, after the `seen` first ones, oldest first; `seen` counts
  /// them from then on.
  std::vector<OomKill> kills(uint64_t& seen) const;

  /// The first record that is not part of a group that next() gave; it may be yet to come.
  uint64_t mark() const;
  /// When the next group may become whole though nothing is logged, CLOCK_BOOTTIME; 0: never.
  uint64_t due_us() const { return sorter_.due_us(); }
  /// Records that were overwritten before they were read.
  uint64_t lost() const { return lost_; }
  const LogClock& clock() const { return clock_; }

 private:
  bool read_batch(size_t count);
  void sort_batch(uint64_t now_us);

  Fd kmsg_;
  std::string problem_;
  LogClock clock_;
  std::unique_ptr<Printers> printers_;  ///< may be nullptr
  std::vector<LogRecord> batch_;        ///< read, and not sorted yet
  LogSorter sorter_;
  std::deque<OomKill> kills_;  ///< the latest ones
  uint64_t killed_ = 0;        ///< how many there were
  uint64_t next_sequence_ = 0;
  uint64_t lost_ = 0;
};

/// What CLOCK_BOOTTIME is ahead of the log's clock, µs: time in suspend.
uint64_t log_clock_behind_us();

}  // namespace vprocfs
