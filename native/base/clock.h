#pragma once

#include <cstdint>
#include <ctime>

namespace vprocfs {

/// The time of a clock in nanoseconds.
inline uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

inline uint64_t clock_us(clockid_t clock) { return clock_ns(clock) / 1000; }
inline double clock_s(clockid_t clock) { return static_cast<double>(clock_ns(clock)) / 1e9; }

/// The clock of containers' times: it goes on while the machine sleeps.
inline uint64_t boottime_us() { return clock_us(CLOCK_BOOTTIME); }
/// The clock for measuring how long something takes.
inline uint64_t monotonic_us() { return clock_us(CLOCK_MONOTONIC); }
inline uint64_t monotonic_ms() { return monotonic_us() / 1000; }

/// How far CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC, as a lower and an upper bound, because the
/// reader may be stopped between reading the two. Only a suspend changes it.
struct BoottimeAhead {
  uint64_t least_us = 0, max_us = 0;
};
inline BoottimeAhead boottime_ahead() {
  constexpr uint64_t kNearUs = 5;
  constexpr int kMaxTries = 10;
  BoottimeAhead out;
  for (int i = 0; i < kMaxTries; ++i) {
    const uint64_t before = monotonic_us();
    const uint64_t boottime = boottime_us();
    const uint64_t after = monotonic_us();
    // Both are cut to microseconds.
    const BoottimeAhead now{boottime > after ? boottime - after : 0, boottime - before + 1};
    if (i == 0 || now.max_us - now.least_us < out.max_us - out.least_us) out = now;
    if (out.max_us - out.least_us <= kNearUs) break;
  }
  return out;
}

}  // namespace vprocfs
