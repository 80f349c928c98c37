#pragma once

#include <cstdint>

#include "base/result.h"
#include "container/cpu_history.h"
#include "facts/facts.h"
#include "source/container_source.h"
#include "source/host_source.h"

namespace vprocfs {

/// When a container began, and what time it is. µs on the host's CLOCK_BOOTTIME.
struct ContainerClock {
  uint64_t now_us = 0;
  uint64_t init_start_us = 0;  ///< at most now_us
};

/// Collects what a view needs, and nothing else (`needs` are Need bits). `history` is advanced when
/// the CPU report is asked for. An error of a source that the view needs is an error.
Result<Facts> gather(uint32_t needs, HostSource& host, ContainerSource& source, CpuHistory& history,
                     const ContainerClock& clock);

}  // namespace vprocfs
