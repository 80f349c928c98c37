#pragma once

#include "attach/options.h"
#include "attach/report.h"

namespace vprocfs {

/// Puts the files of a container's tree over those in the mount namespace of a process of it, takes
/// them away, or looks. Leaves this process in that mount namespace: it must be single-threaded and
/// end afterwards. Idempotent; two runs for one namespace wait for each other.
Report run_attach(const Options& options);

}  // namespace vprocfs
