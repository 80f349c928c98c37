#pragma once

#include <cstdint>

namespace vprocfs {

/// The unit of /proc/stat: USER_HZ is 100 in the ABI of every architecture that Node runs on
/// (include/asm-generic/param.h). /proc/uptime prints hundredths too, so its idle is in ticks.
inline constexpr uint64_t kMicrosPerTick = 10'000;

/// Whole ticks in `us` microseconds. Rounding down keeps a growing counter from ever decreasing.
constexpr uint64_t ticks(uint64_t us) { return us / kMicrosPerTick; }

}  // namespace vprocfs
