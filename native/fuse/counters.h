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

/// The figures of several servers together.
struct CounterSums {
  std::array<uint64_t, kOpcodes> requests{};
  uint64_t renders = 0, shared = 0, errors = 0, source_errors = 0, refused_opens = 0, deferred = 0,
           paced = 0, resent = 0;
  void add(const Counters& counters);
};

}  // namespace vprocfs
