#pragma once

#include <cstddef>
#include <cstdint>

#include "container/cpu_history.h"
#include "facts/cpu.h"

namespace vprocfs {

// CPU time that earlier lives of a container have used in its cgroup. The kernel counts on, but
// the next life is a machine that has just booted.

/// All kinds together, µs.
uint64_t sum_of(const CpuUsageFacts& used);

/// What `earlier`, of such a life, knows of.
CpuUsageFacts seen_by(const CpuHistory& earlier);

/// Whether a container of this age can have used so much on so many CPUs, beyond what is known to
/// be of earlier ones (`seen`); when in doubt it can.
bool can_be_own(const CpuUsageFacts& used, const CpuUsageFacts& seen, uint64_t uptime_us,
                size_t cpus);

/// Does not count `used`. For a history without a report.
void leave_out(CpuHistory& history, const CpuUsageFacts& used);

}  // namespace vprocfs
