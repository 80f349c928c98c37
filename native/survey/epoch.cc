#include "survey/epoch.h"

#include <cmath>

namespace vprocfs {
namespace {

// If the clock is only corrected, CLOCK_BOOTTIME is too. A smaller difference may come from a
// thread that was stopped between the readings of the two.
constexpr double kSetS = 1;
constexpr uint64_t kNearUs = 1000;
constexpr int kMaxTries = 5;

double seconds(uint64_t us) { return static_cast<double>(us) / 1e6; }

}  // namespace

ClockPair read_clock_pair(const std::function<double()>& realtime_s,
                          const std::function<uint64_t()>& boottime_us) {
  ClockPair out;
  uint64_t nearest_us = UINT64_MAX;
  for (int i = 0; i < kMaxTries && nearest_us > kNearUs; ++i) {
    const uint64_t before = boottime_us();
    const double now_s = realtime_s();
    const uint64_t apart_us = boottime_us() - before;
    if (apart_us >= nearest_us) continue;
    nearest_us = apart_us;
    out = {now_s, before + apart_us / 2};
  }
  return out;
}

void Epoch::observe(const ClockPair& now) {
  const double booted_s = now.since_epoch_s - seconds(now.boottime_us);
  if (known_ && std::abs(booted_s - booted_s_) < kSetS) return;
  known_ = true;
  booted_s_ = booted_s;
}

double Epoch::of(uint64_t boottime_us) const { return booted_s_ + seconds(boottime_us); }

}  // namespace vprocfs
