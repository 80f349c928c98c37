#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "facts/host.h"

namespace vprocfs {

/// How much memory is mapped by pages of which size, for the DirectMap lines of /proc/meminfo.
///
/// A machine maps its memory with the largest pages that fit (arch/x86/mm/init.c,
/// split_mem_range). So: from the largest size down, as many whole pages as the rest of the memory
/// holds and the host's own line has; the smallest size takes what is left. The lines add up to the
/// machine's memory.
class DirectMap {
 public:
  /// For a machine of `total_kb`, with the page sizes of `host`.
  DirectMap(const HostMeminfo& host, uint64_t total_kb);

  /// The size that a line counts in, kB: 2048 for "DirectMap2M"; 0 for lines that are no DirectMap.
  static uint64_t page_kb(std::string_view label);

  /// What is mapped with pages of `page_kb`, in kB.
  uint64_t mapped_kb(uint64_t page_kb) const;

 private:
  struct Size {
    uint64_t page_kb = 0, host_kb = 0, kb = 0;
  };
  std::array<Size, 8> sizes_{};  ///< descending by page size; no architecture has more than four
  size_t count_ = 0;
};

}  // namespace vprocfs
