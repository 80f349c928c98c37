#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "facts/cpu_set.h"

namespace vprocfs {

/// One memory node (NUMA) of the host.
struct HostNode {
  uint32_t id = 0;
  CpuSet cpus;            ///< online ones; none where it has only memory
  uint64_t total_kb = 0;  ///< its MemTotal; 0 where it has only CPUs
};

/// Memory that a container has on one node, bytes.
struct NodeUse {
  uint32_t id = 0;
  uint64_t bytes = 0;
};

/// What cgroups tell of a container's memory nodes.
struct NodeLimitFacts {
  /// The effective set of nodes that memory may come from; nothing where no cpuset applies.
  std::optional<CpuSet> allowed;
  /// From memory.numa_stat; empty where the kernel does not tell.
  std::vector<NodeUse> used;
};

/// Memory nodes, of the host and of a container.
struct NodeFacts {
  std::shared_ptr<const std::vector<HostNode>> host;  ///< ascending; empty without NUMA
  NodeLimitFacts limits;
};

}  // namespace vprocfs
