#pragma once

#include <cstdint>

namespace vprocfs {

/// The unit of the kernel's times in proc(5), µs: USER_HZ is 100 in the ABI of every architecture
/// that Node runs on (include/asm-generic/param.h).
inline constexpr uint64_t kClockTickUs = 10'000;

}  // namespace vprocfs
