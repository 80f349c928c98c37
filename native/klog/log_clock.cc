#include "klog/log_clock.h"

#include <algorithm>

#include "base/wide.h"

namespace vprocfs {
namespace {

// The clocks drift apart by less than one part in so many: only CLOCK_MONOTONIC is corrected, by up
// to 0.05 % (adjtimex(2)).
constexpr uint64_t kDriftPart = 1000;
// How far the log's clocks of two CPUs may differ: a tick of the kernel's (sched_clock_cpu()).
constexpr int64_t kMarginUs = 10'000;
// A suspend may stop the clocks at different moments. A smaller difference is no suspend: the
// thread that read the clocks was stopped between the two.
constexpr uint64_t kSuspendedUs = 1'000'000;

}  // namespace

int64_t LogClock::bound_us(uint64_t monotonic_us) const {
  const uint64_t passed = saturating_sub(monotonic_us, since_us_);
  return ahead_us_ + static_cast<int64_t>(passed / kDriftPart);
}

void LogClock::observe(uint64_t record_us, uint64_t monotonic_us, uint64_t behind_us) {
  const int64_t ahead = static_cast<int64_t>(monotonic_us) - static_cast<int64_t>(record_us);
  const bool suspended = known_ && behind_us > behind_us_ + kSuspendedUs;
  if (known_ && !suspended && ahead >= bound_us(monotonic_us)) return;
  known_ = true;
  ahead_us_ = ahead;
  since_us_ = monotonic_us;
  behind_us_ = behind_us;
}

uint64_t LogClock::logged_by(uint64_t record_us, uint64_t monotonic_us) const {
  if (!known_) return monotonic_us;
  const int64_t by = static_cast<int64_t>(record_us) + bound_us(monotonic_us) + kMarginUs;
  return std::min(monotonic_us, static_cast<uint64_t>(std::max<int64_t>(by, 0)));
}

}  // namespace vprocfs
