#pragma once

#include <cstdint>

namespace vprocfs {

/// A counter of the kernel's that falls when something it counts ends, reported so that it only
/// grows. Plain values: they lie in the state file.
struct UnfailingCounter {
  uint64_t seen = 0;  ///< at the last reading
  uint64_t lost = 0;  ///< what ended things have taken along, modulo 2^64

  uint64_t reported() const { return seen + lost; }

  /// Takes a reading; true when it is another one than the last.
  bool take(uint64_t now) {
    const bool changed = now != seen;
    if (now < seen) lost += seen - now;
    seen = now;
    return changed;
  }

  /// What is read from now on is of another one, which has counted `base` for others: by default
  /// whatever the next reading has.
  void begin_elsewhere(uint64_t base = UINT64_MAX) {
    lost = reported() - base;
    seen = base;
  }
};

}  // namespace vprocfs
