#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "facts/host.h"

namespace vprocfs {

/// nodeN/meminfo (drivers/base/node.c), by the labels of /proc/meminfo where both have the line.
HostMeminfo parse_node_meminfo(std::string_view text);

/// The /proc/meminfo of a machine that has these of the host's memory nodes and no others: what a
/// cpuset of them can use. Sums of the nodes' own lines; what no node tells (Buffers, CommitLimit,
/// ...) in proportion to MemTotal, and swap as it is. The host's if the nodes tell no size.
/// `hugetlb_kb`: their huge pages of every size; nothing where the host has one size of them.
HostMeminfo meminfo_of_nodes(const HostMeminfo& host, const std::vector<const HostMeminfo*>& nodes,
                             std::optional<uint64_t> hugetlb_kb);

}  // namespace vprocfs
