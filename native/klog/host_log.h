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
#include "klog/known_process.h"
#include "klog/log_clock.h"
#include "klog/printers.h"
#include "klog/sorter.h"

namespace vprocfs {

/// Reads the host's kernel log (/dev/kmsg) once, from its oldest record on, and puts it into
/// groups. Not thread-safe.
class HostLog {
 public:
  HostLog();

  /// From now on records have their printers, as far as these are known.
  void know_printers(std::unique_ptr<Printers> printers) { printers_ = std::move(printers); }

  /// Records are read as soon as they are logged from now on, once those from before have been.
  void follow() { follows_ = true; }

  bool readable() const { return static_cast<bool>(kmsg_); }
  /// Why it is not; empty when it is.
  const std::string& problem() const { return problem_; }
  int fd() const { return kmsg_.get(); }

  /// Reads up to `count` records. False: there are no more at the moment.
  bool read_some(size_t count);
  /// The next group that is whole.
  std::optional<LogGroup> next();
  /// The kills in groups that next() returned, oldest first, without the first `seen` ones and
  /// those that were too many to keep. Sets `seen` to how many there were in all.
  std::vector<OomKill> kills(uint64_t& seen) const;

  /// The number of the first record that is in no group that next() returned; the record may not be
  /// logged yet.
  uint64_t mark() const;
  /// When the next group is whole if nothing more is logged, CLOCK_BOOTTIME; 0: none waits.
  uint64_t due_us() const { return sorter_.due_us(); }
  /// Records that were overwritten before they were read.
  uint64_t lost() const { return lost_; }
  /// When a record with that time was logged. `live`: it was read as soon as it was.
  LogMoment moment_of(uint64_t time_us, bool live) const;

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
  uint64_t killed_ = 0;        ///< how many there were in all
  uint64_t next_sequence_ = 0;
  uint64_t empty_us_ = 0;  ///< see LogRecord::after_us
  uint64_t lost_ = 0;
  bool follows_ = false;
};

/// How far the log's clock is behind CLOCK_BOOTTIME, µs: the time in suspend.
uint64_t log_clock_behind_us();

}  // namespace vprocfs
