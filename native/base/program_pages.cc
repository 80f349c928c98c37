#include "base/program_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

namespace vprocfs {
namespace {

/// Smaller ones are our own, whose pages requests need, and the C library.
constexpr uintptr_t kLargeBytes = uintptr_t{8} << 20;

/// A mapping of /proc/PID/smaps, proc(5).
struct Mapping {
  uintptr_t begin = 0, end = 0;
  bool is_constant = false;  ///< of a file, and nobody may write to it
  /// It has no pages of its own, in memory and in swap: no relocations, no breakpoints.
  bool is_unchanged = false, is_in_memory = false;
};

/// The mapping that a line begins; nothing if it begins none.
bool begins(const std::string& line, Mapping& out) {
  unsigned long begin = 0, end = 0;
  char mode[5] = {};
  if (std::sscanf(line.c_str(), "%lx-%lx %4s ", &begin, &end, mode) != 3) return false;
  const std::string_view what(mode);
  const bool is_constant = what == "r-xp" || what == "r--p";
  out = {begin, end, is_constant && line.find('/') != line.npos, false, false};
  return true;
}

void release(const Mapping& one) {
  const bool is_large = one.end - one.begin >= kLargeBytes;
  if (!is_large || !one.is_constant || !one.is_unchanged || !one.is_in_memory) return;
  ::madvise(reinterpret_cast<void*>(one.begin), one.end - one.begin, MADV_DONTNEED);
}

}  // namespace

void release_program_pages() {
  std::ifstream smaps("/proc/self/smaps");
  Mapping current;
  for (std::string line; std::getline(smaps, line);) {
    const Mapping before = current;
    unsigned long kb = 0;
    if (begins(line, current)) {
      release(before);
    } else if (std::sscanf(line.c_str(), "Anonymous: %lu kB", &kb) == 1) {
      current.is_unchanged = kb == 0;
    } else if (std::sscanf(line.c_str(), "Swap: %lu kB", &kb) == 1) {
      current.is_in_memory = kb == 0;
    }
  }
  release(current);
}

}  // namespace vprocfs
