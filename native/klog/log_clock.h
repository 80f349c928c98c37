#pragma once

#include <cstdint>

namespace vprocfs {

/// When something was logged, told from the log's own clock (local_clock()), which runs freely
/// beside CLOCK_MONOTONIC and about as fast. A record cannot be read before it was logged, so the
/// smallest difference seen between reading and logging is the best estimate. Not thread-safe.
class LogClock {
 public:
  /// A record with that time was read by `monotonic_us`; `behind_us` is what CLOCK_BOOTTIME is
  /// ahead of CLOCK_MONOTONIC.
  void observe(uint64_t record_us, uint64_t monotonic_us, uint64_t behind_us);

  /// A moment by which a record with that time had been logged, as CLOCK_MONOTONIC has it.
  uint64_t logged_by(uint64_t record_us, uint64_t monotonic_us) const;

 private:
  int64_t bound_us(uint64_t monotonic_us) const;

  bool known_ = false;
  int64_t ahead_us_ = 0;   ///< what CLOCK_MONOTONIC is ahead of the log's clock at most
  uint64_t since_us_ = 0;  ///< when that was found
  uint64_t behind_us_ = 0;
};

}  // namespace vprocfs
