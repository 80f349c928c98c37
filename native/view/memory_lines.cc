#include "view/memory_lines.h"

#include <cstddef>
#include <iterator>

namespace vprocfs {
namespace {

using Part = MemoryLine::Part;

/// In the order of the kernel's file, in which most are asked for. Rows of kMemory without a figure
/// change nothing but that the search goes on behind them.
constexpr MemoryLine kLines[] = {
    {"MemTotal", Part::kMemory, &MemoryModel::total},
    {"MemFree", Part::kMemory, &MemoryModel::free},
    {"MemAvailable", Part::kMemory, &MemoryModel::available},
    {"Buffers", Part::kMemory, &MemoryModel::buffers},
    {"Cached", Part::kMemory, &MemoryModel::cached},
    {"SwapCached", Part::kSwap, &MemoryModel::swap_cached},
    {"Active", Part::kMemory, &MemoryModel::active},
    {"Inactive", Part::kMemory, &MemoryModel::inactive},
    {"Active(anon)", Part::kMemory, &MemoryModel::active_anon},
    {"Inactive(anon)", Part::kMemory, &MemoryModel::inactive_anon},
    {"Active(file)", Part::kMemory, &MemoryModel::active_file},
    {"Inactive(file)", Part::kMemory, &MemoryModel::inactive_file},
    {"Unevictable", Part::kMemory, &MemoryModel::unevictable},
    {"Mlocked", Part::kMemory, nullptr},
    {"LowTotal", Part::kMemory, &MemoryModel::total},
    {"LowFree", Part::kMemory, &MemoryModel::free},  // 32 bit: none of it is high memory
    {"SwapTotal", Part::kSwap, &MemoryModel::swap_total},
    {"SwapFree", Part::kSwap, &MemoryModel::swap_free},
    {"Zswap", Part::kSwap, &MemoryModel::zswap},
    {"Zswapped", Part::kSwap, &MemoryModel::zswapped},
    {"Dirty", Part::kMemory, &MemoryModel::dirty},
    {"Writeback", Part::kMemory, &MemoryModel::writeback},
    {"AnonPages", Part::kMemory, &MemoryModel::anon},
    {"Mapped", Part::kMemory, &MemoryModel::mapped},
    {"Shmem", Part::kMemory, &MemoryModel::shmem},
    {"KReclaimable", Part::kMemory, &MemoryModel::slab_reclaimable},
    {"Slab", Part::kMemory, &MemoryModel::slab},
    {"SReclaimable", Part::kMemory, &MemoryModel::slab_reclaimable},
    {"SUnreclaim", Part::kMemory, &MemoryModel::slab_unreclaimable},
    {"KernelStack", Part::kMemory, &MemoryModel::kernel_stack},
    {"PageTables", Part::kMemory, &MemoryModel::page_tables},
    {"SecPageTables", Part::kMemory, &MemoryModel::sec_page_tables},
    {"NFS_Unstable", Part::kMemory, nullptr},
    {"Bounce", Part::kMemory, nullptr},
    {"WritebackTmp", Part::kMemory, nullptr},
    {"CommitLimit", Part::kMemory, &MemoryModel::commit_limit},
    {"Committed_AS", Part::kMemory, &MemoryModel::committed},
    {"VmallocTotal", Part::kHost, nullptr},  // the size of an address range
    {"VmallocUsed", Part::kMemory, &MemoryModel::vmalloc},
    {"VmallocChunk", Part::kMemory, nullptr},
    {"Percpu", Part::kMemory, &MemoryModel::percpu},
    {"HardwareCorrupted", Part::kMemory, nullptr},
    {"AnonHugePages", Part::kMemory, &MemoryModel::anon_huge},
    {"ShmemHugePages", Part::kMemory, &MemoryModel::shmem_huge},
    {"ShmemPmdMapped", Part::kMemory, nullptr},
    {"FileHugePages", Part::kMemory, &MemoryModel::file_huge},
    {"FilePmdMapped", Part::kMemory, nullptr},
    {"CmaTotal", Part::kMemory, nullptr},
    {"CmaFree", Part::kMemory, nullptr},
    {"Unaccepted", Part::kMemory, nullptr},
    {"Balloon", Part::kMemory, nullptr},
    {"HugePages_Total", Part::kHugetlb, &MemoryModel::huge_pages},
    {"HugePages_Free", Part::kHugetlb, &MemoryModel::huge_pages_free},
    {"HugePages_Rsvd", Part::kHugetlb, &MemoryModel::huge_pages_reserved},
    {"HugePages_Surp", Part::kHugetlb, &MemoryModel::huge_pages_surplus},
    {"Hugepagesize", Part::kHost, nullptr},
    {"Hugetlb", Part::kHugetlb, &MemoryModel::hugetlb},
};

uint64_t figure_in(const MemoryModel& model, const MemoryLine* line) {
  return line != nullptr && line->figure != nullptr ? model.*line->figure : 0;
}

}  // namespace

const MemoryLine* MemoryLines::find(std::string_view label) {
  for (size_t tries = 0, i = next_; tries < std::size(kLines); ++tries) {
    const MemoryLine& line = kLines[i];
    if (++i == std::size(kLines)) i = 0;
    if (line.label != label) continue;
    next_ = i;
    return &line;
  }
  return nullptr;
}

bool is_hosts(const MemoryModel& model, const MemoryLine* line) {
  switch (line != nullptr ? line->part : Part::kMemory) {
    case Part::kMemory:
      return !model.accounted;
    case Part::kSwap:
      return model.swap_from_host;
    case Part::kHugetlb:
      return !model.accounted && !model.hugetlb_limited;
    case Part::kHost:
      return true;
  }
  return true;
}

uint64_t shown_in(const MemoryModel& model, const HostMeminfo& host, std::string_view label) {
  const MemoryLine* line = MemoryLines().find(label);
  return is_hosts(model, line) ? host.value(label).value_or(0) : figure_in(model, line);
}

uint64_t figure_of(const MemoryModel& model, std::string_view label) {
  return figure_in(model, MemoryLines().find(label));
}

}  // namespace vprocfs
