#pragma once

#include <cstdint>

#include "base/clock_tick.h"

namespace vprocfs {

/// Whole ticks of /proc/stat in `us` microseconds; /proc/uptime prints hundredths too, so its idle
/// is in ticks. Rounding down keeps a growing counter from ever decreasing.
constexpr uint64_t ticks(uint64_t us) { return us / kClockTickUs; }

}  // namespace vprocfs
