#pragma once

#include <cstdint>
#include <vector>

#include "facts/facts.h"

namespace vprocfs {

/// The memory nodes that a container is shown: those that hold CPUs it is shown or memory that it
/// may use. Ids are the host's. Needs kNeedNodes and kNeedCpus.
CpuSet shown_nodes(const Facts& facts);

/// One shown node. Amounts in kB, of whole pages where the container's are.
struct NodeShare {
  uint32_t id = 0;
  CpuSet cpus;              ///< of the CPUs shown
  bool has_memory = false;  ///< memory of it may be used
  /// Its part of the container's MemTotal, in the proportion of the host's nodes: constant while
  /// the limit is. Sums over the nodes to MemTotal.
  uint64_t total = 0;
  /// Its part of the memory in use, at most `total`. Sums over the nodes to MemTotal - MemFree. As
  /// far as the nodes' sizes allow, the container's own part is spread as in memory.numa_stat. How
  /// that of others is spread is not known, so it follows the nodes' sizes.
  uint64_t used = 0;
  uint64_t own = 0;  ///< the part of `used` that is the container's own
};

/// How a container's memory is spread over its nodes. Amounts need kNeedPageSize.
class NodeModel {
 public:
  /// `total` and `used` are those of /proc/meminfo, `own` is what of that the container uses; kB.
  NodeModel(const Facts& facts, uint64_t total, uint64_t used, uint64_t own);

  const std::vector<NodeShare>& nodes() const { return nodes_; }
  /// Its place in nodes(); nodes().size() for one that is not shown.
  size_t find(uint32_t id) const;
  /// The part of `amount` on the node at `place`, spread as the container's own memory is. The
  /// parts sum to the amount.
  uint64_t part(uint64_t amount, size_t place) const;
  /// The same, spread as the memory of others is.
  uint64_t part_of_others(uint64_t amount, size_t place) const;
  /// The same for anything that is counted in ones, spread as the sizes of the nodes are.
  uint64_t part_by_size(uint64_t amount, size_t place) const;

 private:
  uint64_t page_kb_;
  std::vector<NodeShare> nodes_;
};

}  // namespace vprocfs
