#pragma once

#include <cstdint>

namespace vprocfs {

/// Figures of facts/cgroup_facts.def: what the cgroups of a container tell of it.

/// Memory that a container has on one node, bytes. From memory.numa_stat.
struct NodeUse {
  uint32_t id = 0;
  uint64_t bytes = 0;
};

}  // namespace vprocfs
