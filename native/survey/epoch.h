#pragma once

#include <cstdint>

namespace vprocfs {

/// Tells operators moments of CLOCK_BOOTTIME in seconds since the epoch: the same until somebody
/// sets the clock.
class Epoch {
 public:
  /// `now_s` since the epoch is `now_us` of CLOCK_BOOTTIME. To be called before a survey tells.
  void observe(double now_s, uint64_t now_us);
  double of(uint64_t boottime_us) const;

 private:
  bool known_ = false;
  double booted_s_ = 0;  ///< the node, since the epoch
};

}  // namespace vprocfs
