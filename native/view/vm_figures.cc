#include "view/vm_figures.h"

#include <algorithm>
#include <iterator>

#include "base/wide.h"
#include "view/memory_lines.h"

namespace vprocfs {
namespace {

using Unit = VmAmount::Unit;

/// Sorted by key. What is not here is 0, as is any line of a newer kernel.
constexpr VmAmount kAmounts[] = {
    {"nr_active_anon", Unit::kPages, {"Active(anon)"}},
    {"nr_active_file", Unit::kPages, {"Active(file)"}},
    {"nr_anon_pages", Unit::kPages, {"AnonPages"}},
    {"nr_anon_transparent_hugepages", Unit::kHugePages, {"AnonHugePages"}},
    {"nr_dirty", Unit::kPages, {"Dirty"}},
    {"nr_file_hugepages", Unit::kHugePages, {"FileHugePages"}},
    {"nr_file_pages", Unit::kPages, {"Cached", "SwapCached", "Buffers"}},
    {"nr_free_pages", Unit::kPages, {"MemFree"}},
    {"nr_inactive_anon", Unit::kPages, {"Inactive(anon)"}},
    {"nr_inactive_file", Unit::kPages, {"Inactive(file)"}},
    {"nr_kernel_stack", Unit::kKb, {"KernelStack"}},
    {"nr_mapped", Unit::kPages, {"Mapped"}},
    {"nr_page_table_pages", Unit::kPages, {"PageTables"}},
    {"nr_sec_page_table_pages", Unit::kPages, {"SecPageTables"}},
    {"nr_shmem", Unit::kPages, {"Shmem"}},
    {"nr_shmem_hugepages", Unit::kHugePages, {"ShmemHugePages"}},
    {"nr_slab_reclaimable", Unit::kPages, {"SReclaimable"}},
    {"nr_slab_unreclaimable", Unit::kPages, {"SUnreclaim"}},
    {"nr_swapcached", Unit::kPages, {"SwapCached"}},
    {"nr_unevictable", Unit::kPages, {"Unevictable"}},
    {"nr_writeback", Unit::kPages, {"Writeback"}},
    {"nr_zone_active_anon", Unit::kPages, {"Active(anon)"}},
    {"nr_zone_active_file", Unit::kPages, {"Active(file)"}},
    {"nr_zone_inactive_anon", Unit::kPages, {"Inactive(anon)"}},
    {"nr_zone_inactive_file", Unit::kPages, {"Inactive(file)"}},
    {"nr_zone_unevictable", Unit::kPages, {"Unevictable"}},
    {"nr_zone_write_pending", Unit::kPages, {"Dirty", "Writeback"}},
    {"nr_zspages", Unit::kPages, {"Zswap"}},
};

constexpr bool amounts_are_sorted() {
  for (size_t i = 1; i < std::size(kAmounts); ++i) {
    if (!(kAmounts[i - 1].key < kAmounts[i].key)) return false;
  }
  return true;
}
static_assert(amounts_are_sorted(), "kAmounts is searched by bisection");

/// The kernel begins to write at a share of the memory that may be dirty, free pages and file pages
/// (mm/page-writeback.c): the host's share of the container's.
uint64_t dirty_threshold(const Facts& facts, const MemoryModel& model, std::string_view key) {
  if (!facts.host_vmstat) return 0;
  uint64_t threshold = 0, dirtyable = 0;
  for (const auto& line : facts.host_vmstat->lines) {
    if (line.key == key) threshold = line.value;
    if (line.key == "nr_free_pages" || line.key == "nr_inactive_file" ||
        line.key == "nr_active_file") {
      dirtyable = saturating_add(dirtyable, line.value);
    }
  }
  if (!model.accounted) return threshold;
  const uint64_t own = (model.free + model.inactive_file + model.active_file) / facts.page_kb;
  return std::min(mul_div(threshold, own, dirtyable), own);
}

}  // namespace

const VmAmount* find_vm_amount(std::string_view key) {
  const VmAmount* amount =
      std::lower_bound(std::begin(kAmounts), std::end(kAmounts), key,
                       [](const VmAmount& a, std::string_view wanted) { return a.key < wanted; });
  return amount != std::end(kAmounts) && amount->key == key ? amount : nullptr;
}

uint64_t VmFigures::amount(std::string_view key) const {
  if (key == "nr_dirty_threshold" || key == "nr_dirty_background_threshold") {
    return dirty_threshold(facts_, model_, key);
  }
  if (key == "nr_hugetlb") {
    const uint64_t page_kb = facts_.host_meminfo->value("Hugepagesize").value_or(0);
    return (model_.huge_pages - model_.huge_pages_free) * page_kb / facts_.page_kb;
  }
  const VmAmount* amount = find_vm_amount(key);
  if (amount == nullptr) return 0;
  return amount->of(facts_, [this](std::string_view label) {
    return shown_in(model_, *facts_.host_meminfo, label);
  });
}

uint64_t VmFigures::event(std::string_view key) const {
  constexpr uint64_t kBytesPerKb = 1024;
  if (key == "pgpgin") return facts_.io_totals.read_bytes / kBytesPerKb;
  if (key == "pgpgout") return facts_.io_totals.written_bytes / kBytesPerKb;
  for (const auto& event : facts_.memory.events) {
    if (event.key == key) return event.count;
  }
  return 0;
}

}  // namespace vprocfs
