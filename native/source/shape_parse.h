#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "facts/host.h"
#include "facts/shape.h"

namespace vprocfs {

/// /proc/diskstats. Lines that are none are left out.
std::vector<HostDisk> parse_diskstats(std::string_view text);

/// /proc/partitions without its heading.
std::vector<HostPartition> parse_partitions(std::string_view text);

/// /proc/vmstat; nothing where it has no line.
std::optional<HostVmstat> parse_vmstat(std::string_view text);
std::optional<HostBuddyinfo> parse_buddyinfo(std::string_view text);

/// /proc/zoneinfo; nothing where it has no zone.
std::optional<HostZoneinfo> parse_zoneinfo(std::string_view text);

/// /proc/softirqs or /proc/interrupts; nothing without a heading.
std::optional<HostCpuTable> parse_cpu_table(std::string_view text);

/// /proc/schedstat; nothing without a version. `boottime_us`: CLOCK_BOOTTIME when it was read.
std::optional<HostSchedstat> parse_schedstat(std::string_view text, uint64_t boottime_us);

/// Nothing where the text is no kstat of named figures.
std::optional<HostArcstats> parse_arcstats(std::string_view text);

}  // namespace vprocfs
