#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "facts/host.h"
#include "facts/node.h"

namespace vprocfs {

// What sysfs tells of the host's memory nodes (NUMA) and huge pages. `sysfs_fd` is its root.

/// Its nodes, ascending; none where there is no directory of them. One that goes meanwhile is left
/// out.
Result<std::vector<HostNode>> read_nodes(int sysfs_fd);

/// nodeN/meminfo.
struct NodeMeminfo {
  uint32_t id = 0;
  HostMeminfo meminfo;
};

/// Those of the nodes that have memory. One that goes meanwhile is left out.
Result<std::vector<NodeMeminfo>> read_node_meminfos(int sysfs_fd,
                                                    const std::vector<HostNode>& nodes);

/// Every size of huge pages, ascending; none where the kernel has none.
Result<std::vector<HostHugePool>> read_huge_pools(int sysfs_fd, const std::vector<HostNode>& nodes);

/// 0: there is no such file, or no number in it. Errors: not is_absent().
Result<uint64_t> read_number(int sysfs_fd, const std::string& path);

}  // namespace vprocfs
