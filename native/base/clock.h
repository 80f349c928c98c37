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

}  // namespace vprocfs
