#pragma once

#include <cstdint>

#include "facts/cpu_set.h"

namespace vprocfs {

/// One memory node (NUMA) of the host.
struct HostNode {
  uint32_t id = 0;
  CpuSet cpus;            ///< online ones; none where it has only memory
  uint64_t total_kb = 0;  ///< its MemTotal; 0 where it has only CPUs
};

}  // namespace vprocfs
