#pragma once

#include <cstdint>

#include "base/wide.h"

namespace vprocfs {

/// A counter of the kernel's that falls when something it counts ends, told so that it only grows.
/// Plain values: they lie in the state file.
struct UnfailingCounter {
  uint64_t seen = 0;  ///< at the last reading
  uint64_t lost = 0;  ///< what ended things have taken along

  uint64_t told() const { return saturating_add(seen, lost); }

  /// Takes a reading; true when it is another one than the last.
  bool take(uint64_t now) {
    const bool changed = now != seen;
    if (now < seen) lost = saturating_add(lost, seen - now);
    seen = now;
    return changed;
  }
};

}  // namespace vprocfs
