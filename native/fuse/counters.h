#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "fuse/operations.h"

namespace vprocfs {

/// What a server has done. Relaxed: each figure is right, no two are of the same instant.
struct Counters {
  std::array<std::atomic<uint64_t>, kOpcodes> requests{};
  std::atomic<uint64_t> renders{0};
  std::atomic<uint64_t> shared{0};  ///< readers served with what was made for another
  std::atomic<uint64_t> errors{0};
  std::atomic<uint64_t> source_errors{0};
  std::atomic<uint64_t> refused_opens{0};
  std::atomic<uint64_t> deferred{0};
  std::atomic<uint64_t> paced{0};
  std::atomic<uint64_t> resent{0};
};

}  // namespace vprocfs
