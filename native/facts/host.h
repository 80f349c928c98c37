#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "facts/cpu_set.h"
#include "facts/io.h"
#include "facts/memory.h"

namespace vprocfs {

/// One line of the host's /proc/meminfo, in the host's order.
struct HostMeminfoLine {
  std::string label;   ///< without the colon, e.g. "Active(anon)"
  uint64_t value = 0;  ///< as printed: kB when `in_kb`, else a plain count
  bool in_kb = false;  ///< the line ends in " kB"
};

/// The host's /proc/meminfo (fs/proc/meminfo.c).
struct HostMeminfo {
  std::vector<HostMeminfoLine> lines;
  /// What ZFS's cache (ARC) would give back, which no line counts as free, cached or available, kB.
  uint64_t arc_kb = 0;
  /// It is of some of the host's memory nodes only: see meminfo_of_nodes().
  bool is_part = false;

  /// The value of `label` as printed, or nothing where the kernel has no such line.
  std::optional<uint64_t> value(std::string_view label) const {
    size_t next = 0;
    return value(label, next);
  }
  /// The same, with the line at `next` looked at first, which is then the one after `label`. So
  /// labels in the kernel's order take one pass over the lines.
  std::optional<uint64_t> value(std::string_view label, size_t& next) const {
    for (size_t tries = 0, i = next; tries < lines.size(); ++tries) {
      const HostMeminfoLine& line = lines[i];
      if (++i == lines.size()) i = 0;
      if (line.label != label) continue;
      next = i;
      return line.value;
    }
    return std::nullopt;
  }
};

/// How much memory and swap there is.
inline HostMemorySize memory_size(const HostMeminfo& host) {
  return {host.value("MemTotal").value_or(0) << 10, host.value("SwapTotal").value_or(0) << 10};
}

/// The shape of the host's /proc/stat (fs/proc/stat.c): never its activity.
struct HostStat {
  /// One line that is not a cpu line, e.g. {"intr", 421 columns}. Order is the host's.
  struct Line {
    std::string key;
    size_t columns = 0;  ///< numbers after the key
  };
  size_t cpu_columns = 10;  ///< numbers on a cpu line (10 since 2.6.33)
  uint64_t btime_s = 0;     ///< seconds since the epoch at which the host booted
  std::vector<Line> lines;  ///< intr, ctxt, btime, processes, procs_running, ...
};

/// The host's /proc/cpuinfo, cut into parts. Of the architectures' fields only those that count
/// CPUs are known. Concatenating `header`, every block's text and `trailer` gives the host's file
/// back.
struct HostCpuinfo {
  /// Where the value of a line is within its text.
  struct Place {
    size_t at = 0, size = 0;
    explicit operator bool() const { return size > 0; }
  };
  struct Block {
    static constexpr size_t kNoPackage = SIZE_MAX;

    uint32_t cpu = 0;             ///< the number on its "processor" line
    std::string text;             ///< all lines of the block, blank separator line(s) included
    size_t package = kNoPackage;  ///< an index of `package_cpus`; kNoPackage: none is named
    std::string core;             ///< names its core within its package
    Place siblings, cores;        ///< how many CPUs and cores its package has
  };
  std::string header;         ///< s390x: vendor, "# processors", features, caches before the list
  Place processors;           ///< in `header`, how many CPUs there are
  std::vector<Block> blocks;  ///< in the host's order; s390x: the "processor N: ..." lines first
                              ///< and each CPU's detail block after, under the same cpu number
  std::string trailer;        ///< what follows the last block and belongs to no CPU (ppc64)
  std::vector<size_t> package_cpus;  ///< how many CPUs each package has
};

/// Huge pages of one size that the host has (mm/hugetlb_sysfs.c).
struct HostHugePool {
  struct Node {
    uint32_t id = 0;
    uint64_t pages = 0, free = 0;
  };
  uint64_t page_kb = 0;
  uint64_t pages = 0, free = 0;
  std::vector<Node> nodes;  ///< empty without NUMA
};

/// One line of the host's /proc/diskstats (block/genhd.c, diskstats_show): what it is, not what it
/// does.
struct HostDisk {
  DeviceNumber device;
  std::string name;
  size_t columns = 0;  ///< numbers after the name (17 since 5.5, 15 since 4.18, 11 before)
};

/// One line of the host's /proc/partitions (block/genhd.c, show_partition).
struct HostPartition {
  DeviceNumber device;
  uint64_t blocks = 0;  ///< of 1024 bytes
  std::string name;
};

/// CPU ids the host knows (/sys/devices/system/cpu/{online,possible}).
struct HostCpus {
  CpuSet online, possible;
};

}  // namespace vprocfs
