#pragma once

#include <sys/types.h>

#include <optional>

#include "klog/line.h"
#include "klog/record.h"

namespace vprocfs {

/// A record of which only the thread that printed it, `task`, tells whose it is. PIDs in it are the
/// container's or it is not told. Nothing when it has what is the host's alone: addresses, CPUs,
/// stacks, ports of its bridges.
std::optional<LogLine> plain_line(const LogRecord& record, pid_t task);

}  // namespace vprocfs
