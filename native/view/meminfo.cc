#include <algorithm>
#include <iterator>

#include "base/affix.h"
#include "base/wide.h"
#include "view/direct_map.h"
#include "view/memory_model.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// Which of its figures a container may lack; the host's line then stands as it is.
enum class Part : uint8_t {
  kMemory,   ///< without a memory controller
  kSwap,     ///< without a memory controller and any swap limit
  kHugetlb,  ///< without a memory controller and a hugetlb limit
  kHost,     ///< always: the line is no amount of memory
};

/// How one line is computed.
struct Rule {
  std::string_view label;
  Part part;
  uint64_t MemoryModel::*figure;  ///< nullptr: 0
};

/// The labels of fs/proc/meminfo.c whose figure the cgroup tells, sorted. All that is not here
/// (Mlocked, Bounce, HardwareCorrupted, ...) is 0, as is any line of a newer kernel;
/// DirectMap lines are a family of their own.
constexpr Rule kRules[] = {
    {"Active", Part::kMemory, &MemoryModel::active},
    {"Active(anon)", Part::kMemory, &MemoryModel::active_anon},
    {"Active(file)", Part::kMemory, &MemoryModel::active_file},
    {"AnonHugePages", Part::kMemory, &MemoryModel::anon_huge},
    {"AnonPages", Part::kMemory, &MemoryModel::anon},
    {"Buffers", Part::kMemory, &MemoryModel::buffers},
    {"Cached", Part::kMemory, &MemoryModel::cached},
    {"CommitLimit", Part::kMemory, &MemoryModel::commit_limit},
    {"Committed_AS", Part::kMemory, &MemoryModel::committed},
    {"Dirty", Part::kMemory, &MemoryModel::dirty},
    {"FileHugePages", Part::kMemory, &MemoryModel::file_huge},
    {"HugePages_Free", Part::kHugetlb, &MemoryModel::huge_pages_free},
    {"HugePages_Rsvd", Part::kHugetlb, &MemoryModel::huge_pages_reserved},
    {"HugePages_Surp", Part::kHugetlb, &MemoryModel::huge_pages_surplus},
    {"HugePages_Total", Part::kHugetlb, &MemoryModel::huge_pages},
    {"Hugepagesize", Part::kHost, nullptr},
    {"Hugetlb", Part::kHugetlb, &MemoryModel::hugetlb},
    {"Inactive", Part::kMemory, &MemoryModel::inactive},
    {"Inactive(anon)", Part::kMemory, &MemoryModel::inactive_anon},
    {"Inactive(file)", Part::kMemory, &MemoryModel::inactive_file},
    {"KReclaimable", Part::kMemory, &MemoryModel::slab_reclaimable},
    {"KernelStack", Part::kMemory, &MemoryModel::kernel_stack},
    {"LowFree", Part::kMemory, &MemoryModel::free},  // 32 bit: none of it is high memory
    {"LowTotal", Part::kMemory, &MemoryModel::total},
    {"Mapped", Part::kMemory, &MemoryModel::mapped},
    {"MemAvailable", Part::kMemory, &MemoryModel::available},
    {"MemFree", Part::kMemory, &MemoryModel::free},
    {"MemTotal", Part::kMemory, &MemoryModel::total},
    {"PageTables", Part::kMemory, &MemoryModel::page_tables},
    {"Percpu", Part::kMemory, &MemoryModel::percpu},
    {"SReclaimable", Part::kMemory, &MemoryModel::slab_reclaimable},
    {"SUnreclaim", Part::kMemory, &MemoryModel::slab_unreclaimable},
    {"SecPageTables", Part::kMemory, &MemoryModel::sec_page_tables},
    {"Shmem", Part::kMemory, &MemoryModel::shmem},
    {"ShmemHugePages", Part::kMemory, &MemoryModel::shmem_huge},
    {"Slab", Part::kMemory, &MemoryModel::slab},
    {"SwapCached", Part::kSwap, &MemoryModel::swap_cached},
    {"SwapFree", Part::kSwap, &MemoryModel::swap_free},
    {"SwapTotal", Part::kSwap, &MemoryModel::swap_total},
    {"Unevictable", Part::kMemory, &MemoryModel::unevictable},
    {"VmallocTotal", Part::kHost, nullptr},  // the size of an address range
    {"VmallocUsed", Part::kMemory, &MemoryModel::vmalloc},
    {"Writeback", Part::kMemory, &MemoryModel::writeback},
    {"Zswap", Part::kSwap, &MemoryModel::zswap},
    {"Zswapped", Part::kSwap, &MemoryModel::zswapped},
};

constexpr bool rules_are_sorted() {
  for (size_t i = 1; i < std::size(kRules); ++i) {
    if (!(kRules[i - 1].label < kRules[i].label)) return false;
  }
  return true;
}
static_assert(rules_are_sorted(), "kRules is searched by bisection");

const Rule* find_rule(std::string_view label) {
  const Rule* rule =
      std::lower_bound(std::begin(kRules), std::end(kRules), label,
                       [](const Rule& r, std::string_view wanted) { return r.label < wanted; });
  return rule != std::end(kRules) && rule->label == label ? rule : nullptr;
}

bool host_line_stands(const MemoryModel& m, Part part) {
  switch (part) {
    case Part::kMemory:
      return !m.accounted;
    case Part::kSwap:
      return m.swap_from_host;
    case Part::kHugetlb:
      return !m.accounted && !m.hugetlb_limited;
    case Part::kHost:
      return true;
  }
  return true;
}

uint64_t value_of(const HostMeminfoLine& line, const MemoryModel& m, const DirectMap& direct_map) {
  const Rule* rule = find_rule(line.label);
  if (host_line_stands(m, rule ? rule->part : Part::kMemory)) return line.value;
  if (rule) return rule->figure ? m.*rule->figure : 0;
  const uint64_t page_kb = DirectMap::page_kb(line.label);
  if (page_kb == 0) return 0;
  return m.limited ? direct_map.mapped_kb(page_kb) : line.value;
}

/// Where a value stands: after `label` columns, right-aligned in `value` more. Long values push.
struct Columns {
  size_t label, value;
};

Columns columns_of(std::string_view label) {
  // "%5lu" in fs/proc/meminfo.c and mm/hugetlb.c
  if (starts_with(label, "HugePages_") || label == "HardwareCorrupted" ||
      label == "EarlyMemtestBad") {
    return {19, 5};
  }
  // arch/powerpc/mm/book3s64/pgtable.c gives all DirectMap lines the same blanks
  if (label == "DirectMap64k") return {17, 8};
  return {16, 8};  // show_val_kb()
}

void write_line(const HostMeminfoLine& line, uint64_t value, Writer& writer) {
  const Columns columns = columns_of(line.label);
  writer.text(line.label).ch(':').left("", saturating_sub(columns.label, line.label.size() + 1));
  writer.right(value, columns.value).text(line.in_kb ? " kB\n" : "\n");
}

}  // namespace

/// /proc/meminfo (fs/proc/meminfo.c): the host's lines in the host's order.
void render_meminfo(const Facts& facts, Writer& writer) {
  if (!facts.host_meminfo) return;
  const HostMeminfo& host = *facts.host_meminfo;
  const MemoryModel model = memory_model(facts);
  const DirectMap direct_map(host, model.total);
  for (const HostMeminfoLine& line : host.lines) {
    write_line(line, value_of(line, model, direct_map), writer);
  }
}

}  // namespace vprocfs
