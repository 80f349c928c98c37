#pragma once

#include <cstdint>
#include <functional>

namespace vprocfs {

/// One moment on two clocks.
struct ClockPair {
  double since_epoch_s = 0;
  uint64_t boottime_us = 0;
};

/// Reads both clocks again if the thread was stopped meanwhile; not for ever, then the pair that
/// is nearest counts. The arguments read CLOCK_REALTIME (s) and CLOCK_BOOTTIME (µs).
ClockPair read_clock_pair(const std::function<double()>& realtime_s,
                          const std::function<uint64_t()>& boottime_us);

/// Tells operators moments of CLOCK_BOOTTIME in seconds since the epoch: the same until somebody
/// sets the clock.
class Epoch {
 public:
  /// To be called before a survey tells.
  void observe(const ClockPair& now);
  double of(uint64_t boottime_us) const;

 private:
  bool known_ = false;
  double booted_s_ = 0;  ///< the node, since the epoch
};

}  // namespace vprocfs
