#pragma once

#include "keeper/fd_store_table.h"
#include "keeper/options.h"

namespace vprocfs {

/// Leaves a process behind if a keeper ends while containers that hand system calls over are
/// running: if no process held their notify descriptors, those calls would fail with ENOSYS. The
/// process passes the calls to the kernel and accepts new listeners from runtimes, until the last
/// such container has ended or a later worker takes over everything at `options.rest`. If another
/// vprocfs waits for that already, it is left behind without such containers, too: runtimes would
/// find nobody meanwhile, and fail. Else only removes the sockets.
void leave_passthrough(const KeeperOptions& options, const FdStoreTable& fd_store);

}  // namespace vprocfs
