#pragma once

#include "facts/cpu_set.h"
#include "facts/shape.h"
#include "view/writer.h"

namespace vprocfs {

/// A table with a column for each shown CPU and the host's rows, all of it 0: no cgroup counts
/// interrupts.
void write_cpu_table(const HostCpuTable& table, const CpuSet& shown, Writer& writer);

}  // namespace vprocfs
