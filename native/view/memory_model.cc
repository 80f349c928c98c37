#include "view/memory_model.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "view/scale.h"
#include "view/swap_model.h"
#include "view/writer.h"

namespace vprocfs {
namespace {

/// The smallest machine: a limit of 0 is possible, MemTotal 0 makes tools divide by zero.
constexpr uint64_t kPageKb = 4;

uint64_t kb(std::optional<uint64_t> bytes) { return bytes.value_or(0) / 1024; }

/// Takes `wanted` out of `budget`, or what is left of it.
uint64_t take(uint64_t& budget, uint64_t wanted) {
  const uint64_t taken = std::min(budget, wanted);
  budget -= taken;
  return taken;
}

/// MemTotal, MemFree and MemAvailable; the latter needs the parts, hence comes last.
void fill_totals(MemoryModel& m, const HostMeminfo& host, const MemoryFacts& memory) {
  const uint64_t host_total = host.value("MemTotal").value_or(0);
  const uint64_t limit = memory.limit_bytes ? *memory.limit_bytes / 1024 : UINT64_MAX;
  m.limited = limit < host_total;
  m.total = std::max(std::min(host_total, limit), kPageKb);
  m.used = std::min(kb(memory.usage_bytes), m.total);
  m.free = m.total - m.used;
  if (!m.limited) m.free = std::min(m.free, host.value("MemFree").value_or(UINT64_MAX));
}

void fill_user_pages(MemoryModel& m, const MemoryStat& stat) {
  // Every page is on one list, so the lists together are at most what is charged. File pages come
  // first: MemAvailable is made of them.
  uint64_t lists = m.used;
  m.inactive_file = take(lists, kb(stat.inactive_file));
  m.active_file = take(lists, kb(stat.active_file));
  m.inactive_anon = take(lists, kb(stat.inactive_anon));
  m.active_anon = take(lists, kb(stat.active_anon));
  m.unevictable = take(lists, kb(stat.unevictable));
  m.active = m.active_anon + m.active_file;
  m.inactive = m.inactive_anon + m.inactive_file;

  m.anon = std::min(kb(stat.anon), m.used);
  m.anon_huge = std::min(kb(stat.anon_thp), m.anon);
  m.cached = std::min(kb(stat.file), m.used);
  m.shmem = std::min(kb(stat.shmem), m.cached);
  m.shmem_huge = std::min(kb(stat.shmem_thp), m.shmem);
  m.file_huge = std::min(kb(stat.file_thp), m.cached);
  m.mapped = std::min(kb(stat.file_mapped), m.cached);
  m.dirty = std::min(kb(stat.file_dirty), m.cached);
  m.writeback = std::min(kb(stat.file_writeback), m.used);  // swap pages under writeback count too
}

void fill_kernel_pages(MemoryModel& m, const MemoryStat& stat) {
  // Tools take free + cached + reclaimable off the total to get what is used: that must not wrap.
  m.slab_reclaimable = std::min(kb(stat.slab_reclaimable), m.used - m.cached);
  const uint64_t unreclaimable = stat.slab_unreclaimable
                                     ? kb(stat.slab_unreclaimable)
                                     : saturating_sub(kb(stat.slab), kb(stat.slab_reclaimable));
  m.slab_unreclaimable = std::min(unreclaimable, m.used - m.slab_reclaimable);
  m.slab = m.slab_reclaimable + m.slab_unreclaimable;
  m.kernel_stack = std::min(kb(stat.kernel_stack), m.used);
  m.page_tables = std::min(kb(stat.pagetables), m.used);
  m.sec_page_tables = std::min(kb(stat.sec_pagetables), m.used);
  m.percpu = std::min(kb(stat.percpu), m.used);
  m.vmalloc = std::min(kb(stat.vmalloc), m.used);
}

void fill_swap(MemoryModel& m, const Facts& facts) {
  const MemoryStat& stat = facts.memory.stat;
  const SwapModel swap = swap_model(facts);
  m.swap_from_host = swap.from_host;
  m.swap_total = swap.total_kb;
  m.swap_free = swap.free_kb;
  m.swap_cached = std::min({kb(stat.swapcached), m.used, swap.used_kb()});
  m.zswapped = std::min(kb(stat.zswapped), swap.used_kb());
  m.zswap = std::min(kb(stat.zswap), m.used);
}

void fill_hugetlb(MemoryModel& m, const HostMeminfo& host, const HugetlbFacts& hugetlb) {
  m.hugetlb_limited = hugetlb.limit_bytes.has_value();
  const uint64_t page_kb = host.value("Hugepagesize").value_or(0);
  if (!m.hugetlb_limited || page_kb == 0) return;
  m.huge_pages = std::min({kb(hugetlb.limit_bytes) / page_kb, m.total / page_kb,
                           host.value("HugePages_Total").value_or(0)});
  // The pool is the node's: what others hold of it cannot be had, whatever the limit says.
  m.huge_pages_free = std::min(saturating_sub(m.huge_pages, hugetlb.used_bytes / 1024 / page_kb),
                               host.value("HugePages_Free").value_or(0));
  m.hugetlb = m.huge_pages * page_kb;
}

/// CommitLimit is the share of memory that the host's overcommit_ratio allows, plus swap
/// (mm/util.c, vm_commit_limit). Committed_AS is at least what is in use: no cgroup tells more.
void fill_commit(MemoryModel& m, const HostMeminfo& host) {
  const uint64_t limit = host.value("CommitLimit").value_or(0);
  const uint64_t share = saturating_sub(limit, host.value("SwapTotal").value_or(0));
  const uint64_t memory =
      saturating_sub(host.value("MemTotal").value_or(0), host.value("Hugetlb").value_or(0));
  m.commit_limit =
      std::min(saturating_add(scale(m.total - m.hugetlb, share, memory), m.swap_total), limit);
  m.committed =
      std::min(saturating_add(saturating_add(m.anon, m.shmem), (m.swap_total - m.swap_free)),
               saturating_add(m.total, m.swap_total));
}

}  // namespace

MemoryModel memory_model(const Facts& facts) {
  MemoryModel m;
  const HostMeminfo& host = *facts.host_meminfo;
  const MemoryFacts& memory = facts.memory;
  m.accounted = memory.usage_bytes.has_value() || memory.limit_bytes.has_value();
  fill_totals(m, host, memory);
  fill_user_pages(m, memory.stat);
  fill_kernel_pages(m, memory.stat);
  const uint64_t reclaimable = m.inactive_file + m.active_file + m.slab_reclaimable;
  m.available = std::min(saturating_add(m.free, reclaimable), m.total);
  // What nothing limits cannot have more than there is.
  if (!memory.limit_bytes) {
    const uint64_t ceiling = host.value("MemAvailable").value_or(m.available);
    m.available = std::max(m.free, std::min(m.available, ceiling));
  }
  fill_swap(m, facts);
  fill_hugetlb(m, host, memory.hugetlb);
  fill_commit(m, host);
  return m;
}

}  // namespace vprocfs
