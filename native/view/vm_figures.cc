#include "view/vm_figures.h"

#include <algorithm>
#include <iterator>

#include "base/wide.h"

namespace vprocfs {
namespace {

/// What an amount is counted in (mm/vmstat.c, vmstat_item_print_in_thp and the names themselves).
enum class Unit : uint8_t { kPages, kHugePages, kKb };

struct Rule {
  std::string_view key;
  Unit unit;
  uint64_t MemoryModel::*first;
  uint64_t MemoryModel::*second;  ///< to be added; may be nullptr
  /// The lines of meminfo that add up to it, for containers to which the host's figures stand.
  std::string_view labels[3];
};

/// Sorted by key. What is not here is 0, as is any line of a newer kernel.
constexpr Rule kRules[] = {
    {"nr_active_anon", Unit::kPages, &MemoryModel::active_anon, nullptr, {"Active(anon)"}},
    {"nr_active_file", Unit::kPages, &MemoryModel::active_file, nullptr, {"Active(file)"}},
    {"nr_anon_pages", Unit::kPages, &MemoryModel::anon, nullptr, {"AnonPages"}},
    {"nr_anon_transparent_hugepages",
     Unit::kHugePages,
     &MemoryModel::anon_huge,
     nullptr,
     {"AnonHugePages"}},
    {"nr_dirty", Unit::kPages, &MemoryModel::dirty, nullptr, {"Dirty"}},
    {"nr_file_hugepages", Unit::kHugePages, &MemoryModel::file_huge, nullptr, {"FileHugePages"}},
    {"nr_file_pages",
     Unit::kPages,
     &MemoryModel::file_pages,
     nullptr,
     {"Cached", "SwapCached", "Buffers"}},
    {"nr_free_pages", Unit::kPages, &MemoryModel::free, nullptr, {"MemFree"}},
    {"nr_inactive_anon", Unit::kPages, &MemoryModel::inactive_anon, nullptr, {"Inactive(anon)"}},
    {"nr_inactive_file", Unit::kPages, &MemoryModel::inactive_file, nullptr, {"Inactive(file)"}},
    {"nr_kernel_stack", Unit::kKb, &MemoryModel::kernel_stack, nullptr, {"KernelStack"}},
    {"nr_mapped", Unit::kPages, &MemoryModel::mapped, nullptr, {"Mapped"}},
    {"nr_page_table_pages", Unit::kPages, &MemoryModel::page_tables, nullptr, {"PageTables"}},
    {"nr_sec_page_table_pages",
     Unit::kPages,
     &MemoryModel::sec_page_tables,
     nullptr,
     {"SecPageTables"}},
    {"nr_shmem", Unit::kPages, &MemoryModel::shmem, nullptr, {"Shmem"}},
    {"nr_shmem_hugepages", Unit::kHugePages, &MemoryModel::shmem_huge, nullptr, {"ShmemHugePages"}},
    {"nr_slab_reclaimable",
     Unit::kPages,
     &MemoryModel::slab_reclaimable,
     nullptr,
     {"SReclaimable"}},
    {"nr_slab_unreclaimable",
     Unit::kPages,
     &MemoryModel::slab_unreclaimable,
     nullptr,
     {"SUnreclaim"}},
    {"nr_swapcached", Unit::kPages, &MemoryModel::swap_cached, nullptr, {"SwapCached"}},
    {"nr_unevictable", Unit::kPages, &MemoryModel::unevictable, nullptr, {"Unevictable"}},
    {"nr_writeback", Unit::kPages, &MemoryModel::writeback, nullptr, {"Writeback"}},
    {"nr_zone_active_anon", Unit::kPages, &MemoryModel::active_anon, nullptr, {"Active(anon)"}},
    {"nr_zone_active_file", Unit::kPages, &MemoryModel::active_file, nullptr, {"Active(file)"}},
    {"nr_zone_inactive_anon",
     Unit::kPages,
     &MemoryModel::inactive_anon,
     nullptr,
     {"Inactive(anon)"}},
    {"nr_zone_inactive_file",
     Unit::kPages,
     &MemoryModel::inactive_file,
     nullptr,
     {"Inactive(file)"}},
    {"nr_zone_unevictable", Unit::kPages, &MemoryModel::unevictable, nullptr, {"Unevictable"}},
    {"nr_zone_write_pending",
     Unit::kPages,
     &MemoryModel::dirty,
     &MemoryModel::writeback,
     {"Dirty", "Writeback"}},
    {"nr_zspages", Unit::kPages, &MemoryModel::zswap, nullptr, {"Zswap"}},
};

constexpr bool rules_are_sorted() {
  for (size_t i = 1; i < std::size(kRules); ++i) {
    if (!(kRules[i - 1].key < kRules[i].key)) return false;
  }
  return true;
}
static_assert(rules_are_sorted(), "kRules is searched by bisection");

const Rule* find_rule(std::string_view key) {
  const Rule* rule =
      std::lower_bound(std::begin(kRules), std::end(kRules), key,
                       [](const Rule& r, std::string_view wanted) { return r.key < wanted; });
  return rule != std::end(kRules) && rule->key == key ? rule : nullptr;
}

uint64_t host_kb(const HostMeminfo& host, const Rule& rule) {
  uint64_t sum = 0;
  for (const std::string_view label : rule.labels) {
    if (!label.empty()) sum = saturating_add(sum, host.value(label).value_or(0));
  }
  return sum;
}

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

VmFigures::VmFigures(const Facts& facts) : facts_(facts), model_(memory_model(facts)) {}

uint64_t VmFigures::amount(std::string_view key) const {
  if (key == "nr_dirty_threshold" || key == "nr_dirty_background_threshold") {
    return dirty_threshold(facts_, model_, key);
  }
  const Rule* rule = find_rule(key);
  if (rule == nullptr) return 0;
  uint64_t kb = model_.*rule->first;
  if (rule->second != nullptr) kb = saturating_add(kb, model_.*rule->second);
  if (!model_.accounted) kb = host_kb(*facts_.host_meminfo, *rule);
  switch (rule->unit) {
    case Unit::kPages:
      return pages(kb);
    case Unit::kHugePages:
      return kb / std::max<uint64_t>(facts_.host_meminfo->value("Hugepagesize").value_or(0), 1);
    case Unit::kKb:
      return kb;
  }
  return 0;
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
