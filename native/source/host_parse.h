#pragma once

#include <optional>
#include <string_view>

#include "facts/host.h"

namespace vprocfs {

/// /proc/meminfo. Lines without a label and a number are left out.
HostMeminfo parse_meminfo(std::string_view text);
/// What ZFS's cache would give back by /proc/spl/kstat/zfs/arcstats, kB: what is not in use, down
/// to the size that it keeps (arc_evictable_memory() of OpenZFS).
uint64_t parse_arc_kb(std::string_view text);

/// The shape of /proc/stat; nothing without a "cpu" line.
std::optional<HostStat> parse_stat(std::string_view text);

/// /proc/cpuinfo of any architecture: a block begins at "processor : N" (s390x also "processor N:"
/// and "cpu number : N") and ends with its blank line. Without such lines all of it is header.
HostCpuinfo parse_cpuinfo(std::string_view text);
/// Whether it is what parse_cpuinfo() makes of `text`.
bool is_cpuinfo_of(const HostCpuinfo& info, std::string_view text);

}  // namespace vprocfs
