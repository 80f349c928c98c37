#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "view/memory_model.h"

namespace vprocfs {

/// A line of /proc/meminfo (fs/proc/meminfo.c) and the figure of a container that it shows.
struct MemoryLine {
  /// Which of its figures a container may lack; the host's line then stands as it is.
  enum class Part : uint8_t {
    kMemory,   ///< without a memory controller
    kSwap,     ///< without a memory controller and any swap limit
    kHugetlb,  ///< without a memory controller and a hugetlb limit
    kHost,     ///< always: the line is no amount of memory
  };

  std::string_view label;
  Part part;
  uint64_t MemoryModel::*figure;  ///< nullptr: 0
};

/// Finds lines by their labels, quickest in the order of the kernel's file.
class MemoryLines {
 public:
  /// nullptr: a line of a newer kernel, which no cgroup has a figure of, or a DirectMap line (see
  /// DirectMap).
  const MemoryLine* find(std::string_view label);

 private:
  size_t next_ = 0;
};

/// Whether a line is the host's as it is. `line`: nullptr for one that MemoryLines does not find.
bool is_hosts(const MemoryModel& model, const MemoryLine* line);

/// What a line shows, in its unit; 0 if neither the container nor the host has it. Not for
/// DirectMap lines.
uint64_t shown_in(const MemoryModel& model, const HostMeminfo& host, std::string_view label);

/// The figure of a line, in its unit; 0 if no cgroup has it.
uint64_t figure_of(const MemoryModel& model, std::string_view label);

}  // namespace vprocfs
