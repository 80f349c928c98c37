#pragma once

#include "keeper/fd_store_table.h"
#include "keeper/options.h"

namespace vprocfs {

/// What is left when a keeper ends while containers run that hand system calls over: without
/// anybody who holds their notify descriptors, those calls would fail with ENOSYS. A process of its
/// own lets them through to the kernel, and takes more from runtimes, until the last such container
/// has ended or a later worker comes to `options.rest` for all of it. Without such containers it
/// only takes the sockets away.
void leave_rest(const KeeperOptions& options, const FdStoreTable& fd_store);

}  // namespace vprocfs
