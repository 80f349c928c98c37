#include "survey/epoch.h"

#include <cmath>

namespace vprocfs {
namespace {

// If the clock is only corrected, CLOCK_BOOTTIME is too. A smaller difference may come from a
// thread that was stopped between the readings of the two.
constexpr double kSetS = 1;

double seconds(uint64_t us) { return static_cast<double>(us) / 1e6; }

}  // namespace

void Epoch::observe(double now_s, uint64_t now_us) {
  const double booted_s = now_s - seconds(now_us);
  if (known_ && std::abs(booted_s - booted_s_) < kSetS) return;
  known_ = true;
  booted_s_ = booted_s;
}

double Epoch::of(uint64_t boottime_us) const { return booted_s_ + seconds(boottime_us); }

}  // namespace vprocfs
