#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace vprocfs {

/// What tasks may have to wait for.
enum class PressureResource : uint8_t { kCpu, kMemory, kIo, kIrq };

/// One line of a pressure file (kernel/sched/psi.c, psi_show()).
struct PressureLine {
  /// The share of time that was lost over the last 10, 60 and 300 s, in hundredths of a percent.
  std::array<uint64_t, 3> averages{};
  uint64_t total_us = 0;  ///< lost since the cgroup was made
};

/// Time in which some tasks of a container, or all that were not idle, waited for one resource.
struct PressureFacts {
  std::optional<PressureLine> some, full;
};

}  // namespace vprocfs
