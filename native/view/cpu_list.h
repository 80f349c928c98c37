#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "facts/cpu_set.h"
#include "view/writer.h"

namespace vprocfs {

/// Writes `cpus` as the kernel's cpulist, e.g. "0-3,8": the format of "%*pbl" (lib/vsprintf.c), no
/// newline. An empty set is the empty string.
void write_cpu_list(const CpuSet& cpus, Writer& writer);

/// A bit map of CPUs as the kernel prints it: groups of 32 bits in hexadecimal, the highest first
/// ("ff,ffffffff", the format of "%*pb").
struct CpuMap {
  std::string text;
  size_t count = 0;  ///< of CPUs in it
};

/// Those of `map` that are in `cpus`; as wide as it was.
CpuMap intersect_cpu_map(std::string_view map, const CpuSet& cpus);

}  // namespace vprocfs
