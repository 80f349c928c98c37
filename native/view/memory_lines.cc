#include "view/memory_lines.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace vprocfs {
namespace {

using Part = MemoryLine::Part;

/// Sorted by label.
constexpr MemoryLine kLines[] = {
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

constexpr bool lines_are_sorted() {
  for (size_t i = 1; i < std::size(kLines); ++i) {
    if (!(kLines[i - 1].label < kLines[i].label)) return false;
  }
  return true;
}
static_assert(lines_are_sorted(), "kLines is searched by bisection");

}  // namespace

const MemoryLine* find_memory_line(std::string_view label) {
  const MemoryLine* line = std::lower_bound(
      std::begin(kLines), std::end(kLines), label,
      [](const MemoryLine& l, std::string_view wanted) { return l.label < wanted; });
  return line != std::end(kLines) && line->label == label ? line : nullptr;
}

uint64_t figure_of(const MemoryModel& model, std::string_view label) {
  const MemoryLine* line = find_memory_line(label);
  return line != nullptr && line->figure != nullptr ? model.*line->figure : 0;
}

}  // namespace vprocfs
