#pragma once

#include "keeper/options.h"

namespace vprocfs {

/// For when `vprocfs run` cannot start while the service manager hands it a mount: readers are not
/// to wait until somebody has put it right. For `options.hold_ms` every request is answered with
/// EIO; the mount stays in the store, and the next start goes on with it. SIGTERM takes it away.
/// Returns the exit status, never 0.
int hold(const KeeperOptions& options);

}  // namespace vprocfs
