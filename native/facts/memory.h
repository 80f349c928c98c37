#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vprocfs {

/// The hierarchical memory.stat of a container, by v2's names. All in bytes; nothing where the
/// kernel has no key.
struct MemoryStat {
#define VPROCFS_MEMORY_KEY(key) std::optional<uint64_t> key;
#include "facts/memory_keys.def"
};

/// Swap of a container, in bytes.
struct SwapFacts {
  /// The tightest limit along the ancestor chain; nothing when unlimited. On v1, which limits no
  /// swap alone, this is the lower of memsw limit - memory limit of the cgroup and of the tightest
  /// ones along the chain, where both are set, and the memsw limit where only it is.
  std::optional<uint64_t> limit_bytes;
  /// Swapped out now; nothing where the kernel does not account swap for this container.
  std::optional<uint64_t> used_bytes;
  /// v1: swappiness is 0, so that nothing new will be swapped out.
  bool swappiness_zero = false;
};

/// Huge pages of one size that is limited by the hugetlb controller, bytes.
struct HugetlbFacts {
  uint64_t page_kb = 0;
  uint64_t limit_bytes = 0;  ///< the smallest along the ancestor chain, of reservations too
  uint64_t used_bytes = 0;
  uint64_t reserved_bytes = 0;  ///< and not in use; 0 before Linux 5.7, which does not tell
  /// What every limit along the chain leaves at least: others use some of an ancestor's.
  uint64_t free_bytes = UINT64_MAX;
};

/// The host's memory and swap, bytes. A limit that is not below them is no limit.
struct HostMemorySize {
  uint64_t memory_bytes = UINT64_MAX, swap_bytes = UINT64_MAX;
};

/// What a container's cgroup and all cgroups above it still leave free for it, bytes: the minimum
/// over those that have a limit, nothing if none has one. A cgroup that uses more than its limit
/// leaves 0.
struct MemoryHeadroom {
  std::optional<uint64_t> free_bytes;  ///< limit - usage
  /// The lower of limit and memory.high - usage + what of it can be reclaimed. Beyond memory.high,
  /// allocations stand still.
  std::optional<uint64_t> available_bytes;
  uint64_t ceiling_bytes = 0;  ///< the limit or memory.high that available_bytes is of
  /// Of swap, the lower of limit and memory.swap.high - usage; the limit of the container's own
  /// cgroup is its SwapTotal. On v1 what limits of memory and swap together leave above it, with
  /// all that the container has in memory.
  std::optional<uint64_t> swap_bytes;
};

/// An event counter of a container's memory, by the name that /proc/vmstat has for it.
struct MemoryEvent {
  std::string key;
  uint64_t count = 0;
};

/// Memory of a container.
struct MemoryFacts {
  /// The smallest limit along the ancestor chain, bytes; nothing when unlimited. May exceed the
  /// host's memory: the view takes the minimum.
  std::optional<uint64_t> limit_bytes;
  /// Charged to the container's cgroup, bytes; nothing without a memory controller.
  std::optional<uint64_t> usage_bytes;
  MemoryStat stat;
  SwapFacts swap;
  /// Only where asked for: all keys of v2's memory.stat (so figures in bytes too, whose names
  /// /proc/vmstat does not have), pgfault and pgmajfault of v1's; oom_kill of both.
  std::vector<MemoryEvent> events;
  MemoryHeadroom headroom;
  std::vector<HugetlbFacts> hugetlb;  ///< the sizes that are limited

  /// What limits huge pages of a size, or nullptr.
  const HugetlbFacts* limit_of_pages(uint64_t page_kb) const {
    for (const auto& size : hugetlb) {
      if (size.page_kb == page_kb) return &size;
    }
    return nullptr;
  }
};

}  // namespace vprocfs
