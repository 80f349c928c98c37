#pragma once

#include <cstdint>

#include "base/result.h"
#include "source/container_source.h"
#include "source/host_source.h"
#include "survey/figures.h"

namespace vprocfs {

/// Fills in what /proc/meminfo of a container says, and its limits. `now_us` is CLOCK_BOOTTIME.
Result<bool> read_memory_figures(HostSource& host, ContainerSource& source, uint64_t now_us,
                                 Figures& out);

}  // namespace vprocfs
