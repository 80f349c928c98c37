#include "view/memory_model.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/wide.h"
#include "view/swap_model.h"

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

/// The lines of the host's that count, as printed.
class HostFigures {
  const HostMeminfo& host_;
  size_t next_ = 0;

  std::optional<uint64_t> line(std::string_view label) { return host_.value(label, next_); }
  uint64_t line_or_0(std::string_view label) { return line(label).value_or(0); }

 public:
  explicit HostFigures(const HostMeminfo& host) : host_(host) {}

  // In the order of the lines, which they are looked up in.
  const uint64_t total = line_or_0("MemTotal");
  const std::optional<uint64_t> free = line("MemFree");
  const std::optional<uint64_t> available = available_on(host_);
  const uint64_t buffers = line_or_0("Buffers");
  const uint64_t cached = line_or_0("Cached");
  const uint64_t swap_total = line_or_0("SwapTotal");
  const uint64_t slab_reclaimable = line_or_0("SReclaimable");
  const uint64_t commit_limit = line_or_0("CommitLimit");
  const uint64_t huge_pages = line_or_0("HugePages_Total");
  const uint64_t huge_pages_free = line_or_0("HugePages_Free");
  const uint64_t huge_pages_reserved = line_or_0("HugePages_Rsvd");
  const uint64_t huge_pages_surplus = line_or_0("HugePages_Surp");
  const uint64_t huge_page_kb = line_or_0("Hugepagesize");
  const std::optional<uint64_t> hugetlb = line("Hugetlb");
  const uint64_t arc_kb = host_.arc_kb;
};

/// UINT64_MAX: none.
uint64_t limit_kb(const MemoryFacts& memory) {
  return memory.limit_bytes ? *memory.limit_bytes / 1024 : UINT64_MAX;
}

void fill_totals(MemoryModel& m, const HostFigures& host, const MemoryFacts& memory) {
  m.limited = limit_kb(memory) < host.total;
  m.total = std::max(std::min(host.total, limit_kb(memory)), kPageKb);
  m.used = std::min(kb(memory.usage_bytes), m.total);
}

/// File pages and slab, together at most what is charged. Tools compute the used memory as the
/// total less free, buffers, cached and slab, and must not get a negative number.
struct Cache {
  uint64_t file = 0, slab_reclaimable = 0, slab_unreclaimable = 0;

  Cache(const MemoryModel& m, const MemoryStat& stat)
      : file(kb(stat.file)),
        slab_reclaimable(kb(stat.slab_reclaimable)),
        slab_unreclaimable(stat.slab_unreclaimable
                               ? kb(stat.slab_unreclaimable)
                               : saturating_sub(kb(stat.slab), kb(stat.slab_reclaimable))) {
    cap(m.used);
  }

  void cap(uint64_t limit) {
    file = take(limit, file);
    slab_reclaimable = take(limit, slab_reclaimable);
    slab_unreclaimable = take(limit, slab_unreclaimable);
  }
};

/// What the node leaves for one container: its free memory and what others and ZFS have cached of
/// it, at most what is available. A node that has run for a while has hardly any free memory,
/// because all of it is cache; tools that compute used = total - free - cached would count that as
/// the container's.
uint64_t left_by_node(const HostFigures& host, uint64_t total, uint64_t cached, const Cache& own) {
  const uint64_t free = host.free.value_or(total);
  const uint64_t all = saturating_add(cached, host.slab_reclaimable);
  const uint64_t others =
      saturating_add(saturating_sub(all, own.file + own.slab_reclaimable), host.arc_kb);
  const uint64_t available = host.available.value_or(free);
  return std::max(std::min(saturating_add(free, others), available), free);
}

/// MemFree. One without a limit has the node's Buffers too. There may be a limit that is not below
/// `total`: of a cgroup that may use other memory nodes too, and on v1 of memory and swap together.
/// What only the cgroups above count is all in MemAvailable.
void fill_free(MemoryModel& m, const HostFigures& host, const MemoryFacts& memory, Cache& cache) {
  const MemoryHeadroom& headroom = memory.headroom;
  if (m.limited || headroom.free_bytes || !memory.usage_bytes) {
    m.free =
        std::min(m.total - m.used,
                 left_by_node(host, m.total, saturating_add(host.cached, host.buffers), cache));
    if (headroom.free_bytes) m.free = std::min(m.free, *headroom.free_bytes / 1024);
    return;
  }
  m.buffers = host.buffers;
  // Pages of block devices are files to the cgroup, and Buffers to the node.
  cache.file = std::min(cache.file, host.cached);
  m.free = std::min(left_by_node(host, m.total, host.cached, cache), m.total);
  cache.cap(saturating_sub(m.total, saturating_add(m.free, m.buffers)));
}

/// After all that it is made of. Lowers MemFree to MemAvailable if that is less.
void fill_available(MemoryModel& m, const HostFigures& host, const MemoryFacts& memory) {
  const MemoryHeadroom& headroom = memory.headroom;
  const uint64_t reclaimable = m.inactive_file + m.active_file + m.slab_reclaimable;
  const uint64_t own = saturating_add(m.free, reclaimable);
  m.available = host.available.value_or(own);
  if (headroom.available_bytes) {
    m.available = std::min(m.available, *headroom.available_bytes / 1024);
  } else if (m.limited) {
    m.available = std::min(m.available, own);
  }
  m.available = std::min(m.available, m.total);
  // What can be reclaimed is in no line of a container whose memory only the cgroups above it
  // count: it would seem to be in use.
  m.free = memory.usage_bytes ? std::min(m.free, m.available) : m.available;
}

void fill_user_pages(MemoryModel& m, const MemoryStat& stat, const Cache& cache) {
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
  m.cached = cache.file;
  m.shmem = std::min(kb(stat.shmem), m.cached);
  m.shmem_huge = std::min(kb(stat.shmem_thp), m.shmem);
  m.file_huge = std::min(kb(stat.file_thp), m.cached);
  m.mapped = std::min(kb(stat.file_mapped), m.cached);
  m.dirty = std::min(kb(stat.file_dirty), m.cached);
  m.writeback = std::min(kb(stat.file_writeback), m.used);  // swap pages under writeback count too
}

void fill_kernel_pages(MemoryModel& m, const MemoryStat& stat, const Cache& cache) {
  m.slab_reclaimable = cache.slab_reclaimable;
  m.slab_unreclaimable = cache.slab_unreclaimable;
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
  m.swap_own = swap.own_kb;
  m.swap_cached = std::min({kb(stat.swapcached), m.used, swap.own_kb});
  m.zswapped = std::min(kb(stat.zswapped), swap.own_kb);
  m.zswap = std::min(kb(stat.zswap), m.used);
}

/// The pool is the node's: pages that others hold of it are not free, whatever the limit. MemTotal
/// does not bound it: huge pages are charged to no memory limit (but where cgroup2 is mounted with
/// memory_hugetlb_accounting), so that a container may use a pool that is larger, and finds all of
/// it in sysfs as well.
void fill_hugetlb(MemoryModel& m, const HostFigures& host, const Facts& facts) {
  const MemoryFacts& memory = facts.memory;
  m.hugetlb_limited = !memory.hugetlb.empty();
  const uint64_t page_kb = host.huge_page_kb, host_pages = host.huge_pages;
  if (const HugetlbFacts* limit = memory.limit_of_pages(page_kb)) {
    const HugePool pool = limited_pool(*limit, host_pages, host.huge_pages_free);
    m.huge_pages = pool.pages;
    m.huge_pages_free = pool.free;
    m.huge_pages_reserved = std::min(pool.reserved, host.huge_pages_reserved);
  } else {
    m.huge_pages = host_pages;
    m.huge_pages_free = host.huge_pages_free;
    m.huge_pages_reserved = host.huge_pages_reserved;
    m.huge_pages_surplus = host.huge_pages_surplus;
  }
  // The host's line counts every size. Of those that are limited the container has less.
  uint64_t less = (host_pages - m.huge_pages) * page_kb;
  if (facts.huge_pools) {
    for (const HostHugePool& pool : *facts.huge_pools) {
      const HugetlbFacts* limit = memory.limit_of_pages(pool.page_kb);
      if (limit == nullptr || pool.page_kb == page_kb) continue;
      const uint64_t pages = limited_pool(*limit, pool.pages, pool.free).pages;
      less = saturating_add(less, (pool.pages - pages) * pool.page_kb);
    }
  }
  const uint64_t all = host.hugetlb.value_or(host_pages * page_kb);
  m.hugetlb = saturating_sub(all, less);
}

/// CommitLimit is the share of memory that the host's overcommit_ratio allows, plus swap
/// (mm/util.c, vm_commit_limit). Huge pages, of which none may be committed, are taken off the
/// host's memory: they are in no memory limit. Committed_AS is at least what is in use: no cgroup
/// tells more.
void fill_commit(MemoryModel& m, const HostFigures& host) {
  const uint64_t limit = host.commit_limit;
  const uint64_t share = saturating_sub(limit, host.swap_total);
  const uint64_t memory = saturating_sub(host.total, host.hugetlb.value_or(0));
  const uint64_t own = std::min(m.total, memory);
  m.commit_limit = std::min(saturating_add(mul_div(own, share, memory), m.swap_total), limit);
  m.committed = std::min(saturating_add(saturating_add(m.anon, m.shmem), m.swap_own),
                         saturating_add(m.total, m.swap_total));
}

}  // namespace

HugePool limited_pool(const HugetlbFacts& limit, uint64_t host_pages, uint64_t host_free) {
  if (limit.page_kb == 0) return {};
  HugePool pool;
  pool.pages = std::min(limit.limit_bytes / 1024 / limit.page_kb, host_pages);
  const uint64_t room = limit.free_bytes / 1024 / limit.page_kb;
  const uint64_t unused = saturating_sub(pool.pages, limit.used_bytes / 1024 / limit.page_kb);
  pool.free = std::min({unused, room, host_free});
  pool.reserved = std::min(limit.reserved_bytes / 1024 / limit.page_kb, pool.free);
  return pool;
}

std::optional<uint64_t> available_on(const HostMeminfo& host) {
  const auto available = host.value("MemAvailable");
  if (!available) return std::nullopt;
  return saturating_add(*available, host.arc_kb);
}

bool is_accounted(const Facts& facts) {
  const MemoryFacts& memory = facts.memory;
  return memory.usage_bytes || memory.headroom.available_bytes ||
         limit_kb(memory) < facts.host_meminfo->value("MemTotal").value_or(0);
}

MemoryModel memory_model(const Facts& facts) {
  MemoryModel m;
  const HostFigures host(*facts.host_meminfo);
  const MemoryFacts& memory = facts.memory;
  m.accounted = is_accounted(facts);
  fill_totals(m, host, memory);
  Cache cache(m, memory.stat);
  fill_free(m, host, memory, cache);
  fill_user_pages(m, memory.stat, cache);
  fill_kernel_pages(m, memory.stat, cache);
  fill_available(m, host, memory);
  fill_swap(m, facts);
  m.file_pages = saturating_add(saturating_add(m.cached, m.swap_cached), m.buffers);
  fill_hugetlb(m, host, facts);
  fill_commit(m, host);
  return m;
}

}  // namespace vprocfs
