#pragma once

#include "facts/cpu_set.h"
#include "view/writer.h"

namespace vprocfs {

/// Writes `cpus` as the kernel's cpulist, e.g. "0-3,8": the format of "%*pbl" (lib/vsprintf.c), no
/// newline. An empty set is the empty string.
void write_cpu_list(const CpuSet& cpus, Writer& writer);

}  // namespace vprocfs
