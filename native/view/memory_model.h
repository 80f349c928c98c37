#pragma once

#include <cstdint>

#include "facts/facts.h"

namespace vprocfs {

/// The memory of a container as a machine of its size shows it. All in kB unless named otherwise.
///
/// The kernel reads memory.current and memory.stat at two moments and keeps both in per-CPU batches
/// (mm/memcontrol.c), so they may contradict each other. Here they do not: no amount exceeds what
/// is charged, and parts never exceed their whole.
struct MemoryModel {
  /// The container has a memory controller, or a limit (or memory.high) from above it that is below
  /// the host's memory. Otherwise the amounts below are meaningless: the host's lines stand as they
  /// are.
  bool accounted = false;
  /// The limit is below the host's memory.
  bool limited = false;

  uint64_t total = 0;  ///< min(host, limit), never below one page
  uint64_t used = 0;   ///< charged, at most `total`
  /// What the limits of the cgroup and all above it leave, at most the host's MemFree and what
  /// others have cached, which together are at most the host's MemAvailable.
  uint64_t free = 0;
  /// The same with reclaimable memory, and with memory.high as a limit too; at most the host's. The
  /// host's if there is neither limit.
  uint64_t available = 0;
  uint64_t buffers = 0;  ///< of the host, where not limited

  uint64_t active_anon = 0, inactive_anon = 0, active_file = 0, inactive_file = 0, unevictable = 0;
  uint64_t active = 0, inactive = 0;  ///< anon + file
  uint64_t anon = 0, anon_huge = 0;
  /// File pages, shmem included. The swap cache, which /proc/meminfo takes off the node's count,
  /// is in no cgroup's (mm/swap_state.c counts it for the node alone).
  uint64_t cached = 0;
  uint64_t file_pages = 0;  ///< `cached`, `swap_cached` and `buffers`
  uint64_t shmem = 0, shmem_huge = 0, file_huge = 0, mapped = 0, dirty = 0, writeback = 0;
  uint64_t slab_reclaimable = 0, slab_unreclaimable = 0;
  uint64_t slab = 0;  ///< the sum of both
  uint64_t kernel_stack = 0, page_tables = 0, sec_page_tables = 0, percpu = 0, vmalloc = 0;

  bool swap_from_host = false;  ///< see SwapModel
  uint64_t swap_total = 0, swap_free = 0;
  uint64_t swap_own = 0;                   ///< the container's own use: SwapModel::own_kb
  uint64_t swap_cached = 0, zswapped = 0;  ///< both hold swap slots: at most what is used of swap
  uint64_t zswap = 0;

  uint64_t commit_limit = 0, committed = 0;

  /// Any size of huge pages is limited. When false for a container without memory controller, the
  /// host's lines stand.
  bool hugetlb_limited = false;
  /// Those of the default size, in pages: up to their limit, the host's without one. They may be
  /// more than `total`, of which they are no part where it is limited.
  uint64_t huge_pages = 0, huge_pages_free = 0, huge_pages_reserved = 0, huge_pages_surplus = 0;
  uint64_t hugetlb = 0;  ///< of every size together
};

/// Huge pages of one size of a container: the host's, up to a limit.
struct HugePool {
  uint64_t pages = 0, free = 0;
  uint64_t reserved = 0;  ///< of those that are free
};
HugePool limited_pool(const HugetlbFacts& limit, uint64_t host_pages, uint64_t host_free);

/// The node's MemAvailable and what ZFS would give back, of which Linux knows nothing, kB. Nothing:
/// the kernel does not say.
std::optional<uint64_t> available_on(const HostMeminfo& host);

/// MemoryModel::accounted of `facts.memory` on `facts.host_meminfo` (not null).
bool is_accounted(const Facts& facts);

/// Everything that /proc/meminfo says, from `facts.memory` and `facts.host_meminfo` (not null).
MemoryModel memory_model(const Facts& facts);

}  // namespace vprocfs
