#pragma once

#include <sys/types.h>

#include <optional>

#include "klog/line.h"
#include "klog/record.h"

namespace vprocfs {

/// A record that only the thread that printed it, `task`, identifies as a container's. It is left
/// out if it has a PID that the container does not know. Nothing if it has details of the host
/// alone: addresses, CPUs, stacks, ports of its bridges.
std::optional<LogLine> plain_line(const LogRecord& record, pid_t task);

}  // namespace vprocfs
