#pragma once

#include "attach/options.h"
#include "attach/report.h"

namespace vprocfs {

/// Mounts, unmounts or checks the files of a container's tree in the mount namespace of one of its
/// processes. Leaves this process in that mount namespace, so it must be single-threaded and must
/// exit afterwards. Idempotent; two runs for one namespace wait for each other.
Report run_attach(const Options& options);

}  // namespace vprocfs
