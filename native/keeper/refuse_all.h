#pragma once

#include "keeper/options.h"

namespace vprocfs {

/// Used when `vprocfs run` cannot start, or cannot even be executed, although the service manager
/// hands it a mount, so that readers do not wait until somebody has fixed the problem. Answers
/// every request with EIO for `options.hold_ms`. The mount stays in the store, and the next start
/// continues with it; SIGTERM unmounts it. Returns the exit status, 0 only after that or when told
/// to leave.
int refuse_all(const KeeperOptions& options);

}  // namespace vprocfs
