#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace vprocfs {

/// Files of the host of which a container sees the form only: what lines and columns this kernel
/// has on this hardware, never what the node does.

/// The host's /proc/vmstat (mm/vmstat.c), in the host's order.
struct HostVmstat {
  struct Line {
    std::string key;
    uint64_t value = 0;
  };
  std::vector<Line> lines;
};

/// The host's /proc/zoneinfo (mm/vmstat.c, zoneinfo_show_print).
struct HostZoneinfo {
  /// Which part of a zone's text a line stands in.
  enum class Part : uint8_t {
    kNode,   ///< "per-node stats", in the first populated zone of a node
    kZone,   ///< watermarks, sizes and the zone's own figures
    kCpu,    ///< one CPU's pageset: the same lines for each CPU
    kAfter,  ///< what follows the pagesets
  };
  struct Line {
    Part part = Part::kZone;
    std::string prefix;  ///< all before the number, blanks included; all of it without one
    std::string key;     ///< the word before the number: "free", "nr_mlock"; "" without one
    std::vector<uint64_t> values;  ///< one figure; "protection" has one for each zone
  };
  struct Zone {
    uint32_t node = 0;
    std::string title;  ///< its first line
    std::vector<Line> lines;
    /// Pages that the zone has for use; 0: not populated, and nothing beyond "protection" is shown.
    uint64_t managed() const {
      const Line* line = find("managed");
      return line == nullptr ? 0 : line->values[0];
    }
    /// The zone's own line (not the node's, not a CPU's) of `key`, or nullptr.
    const Line* find(const char* key) const {
      for (const auto& line : lines) {
        if (line.part == Part::kZone && line.key == key && !line.values.empty()) return &line;
      }
      return nullptr;
    }
  };
  std::vector<Zone> zones;
};

/// The host's /proc/buddyinfo (mm/vmstat.c, frag_show_print).
struct HostBuddyinfo {
  size_t orders = 0;  ///< sizes of blocks, from one page on, each twice the one before; at most 64
};

/// A table with a column for each CPU: /proc/softirqs (fs/proc/softirqs.c) and /proc/interrupts
/// (kernel/irq/proc.c, arch/*/kernel/irq.c).
struct HostCpuTable {
  struct Row {
    std::string label;   ///< up to and with the colon, e.g. " 24:"
    size_t first = 0;    ///< width of the first number with the blanks before it
    size_t columns = 0;  ///< numbers, where these are not one for each CPU ("ERR:" has one sum)
    bool per_cpu = true;
    std::string tail;  ///< what follows the numbers, without the newline
  };
  size_t blanks = 0;  ///< before the first "CPU" of the heading
  std::vector<Row> rows;
};

/// A file of which a container sees the names of the figures but other values: ZFS's
/// /proc/spl/kstat/zfs/arcstats.
struct HostLines {
  std::string heading;             ///< whole lines before the first name
  std::vector<std::string> heads;  ///< each line up to its figure, blanks included
};

/// The host's /proc/schedstat (kernel/sched/stats.c).
struct HostSchedstat {
  struct Domain {
    std::string name;  ///< "domain0", or "domain0 MC" from version 17 on
    std::string mask;  ///< of CPUs, as the kernel prints it
    size_t columns = 0;
  };
  struct Cpu {
    uint32_t id = 0;
    size_t columns = 0;  ///< numbers (9 since version 15)
    std::vector<Domain> domains;
  };
  std::string version;  ///< its first line
  uint32_t hz = 250;    ///< the kernel's ticks per second, as found from the timestamp
  std::vector<Cpu> cpus;
};

}  // namespace vprocfs
