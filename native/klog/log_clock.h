#pragma once

#include <cstdint>

namespace vprocfs {

/// When a record was logged. Its time is of the log's own clock (local_clock()), which runs about
/// as fast as CLOCK_MONOTONIC and is never corrected. A record cannot be read before it was logged,
/// so the smallest difference seen between the two is the best estimate. Not thread-safe.
class LogClock {
 public:
  /// A record with that time had been read by `monotonic_us`. `behind_us`: how far CLOCK_MONOTONIC
  /// is behind CLOCK_BOOTTIME.
  void observe(uint64_t record_us, uint64_t monotonic_us, uint64_t behind_us);

  /// A moment of CLOCK_MONOTONIC by which a record with that time had been logged.
  uint64_t logged_by(uint64_t record_us, uint64_t monotonic_us) const;

 private:
  int64_t bound_us(uint64_t monotonic_us) const;

  bool known_ = false;
  int64_t ahead_us_ = 0;   ///< how far at most CLOCK_MONOTONIC is ahead of the log's clock
  uint64_t since_us_ = 0;  ///< when that was found
  uint64_t behind_us_ = 0;
};

}  // namespace vprocfs
