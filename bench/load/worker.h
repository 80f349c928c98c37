#pragma once

#include <atomic>
#include <cstdint>

#include "histogram.h"
#include "options.h"

namespace vprocfs_bench {

constexpr int kErrnos = 134;  ///< Linux's highest is 133

/// What one thread saw; in shared memory, so all zero is a valid one.
struct Tally {
  Histogram service;   ///< ns of each complete open+read+close
  Histogram response;  ///< paced: ns from when a round was due until it was done
  uint64_t errors[kErrnos];
  uint64_t empty;  ///< reads without a byte and without an error
  uint64_t cut;    ///< fewer bytes than --min-bytes, or the last line has no end
  uint64_t bytes;
  uint64_t cpu_ns;
  uint64_t end_ns;
};

/// How the threads of all processes start and stop together.
struct Gate {
  std::atomic<uint32_t> ready;
  std::atomic<uint64_t> start_ns;  ///< 0: not yet
  std::atomic<uint32_t> stop;
};

/// How often each of `total` threads looks at the gate: together not so often that they are a load.
constexpr uint64_t gate_interval_ns(uint32_t total) { return 200'000ULL + 50'000ULL * total; }

uint64_t monotonic_ns();
void sleep_until(uint64_t ns);

/// Reads until the options or the gate say stop; `index` of `total` decides when in the period.
void work(const Options& options, uint32_t index, uint32_t total, Gate& gate, Tally& tally);

}  // namespace vprocfs_bench
