#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// What a tenant is known by: the outermost PID namespace around its processes. Whatever a
/// container nests lies in it.
struct TenantNamespace {
  uint64_t number = 0;  ///< 0: none, the process is the host's
  Fd pids;              ///< open, no other namespace has the number
};

/// The tenant of a process, below the PID namespace with the number `own`. ESRCH when it has ended;
/// EMFILE, ENFILE or ENOMEM when there is no descriptor to be had for it.
Result<TenantNamespace> tenant_of(pid_t pid, uint64_t own);

/// True for the errors of what is short and may be there again later.
bool is_shortage(int code);

}  // namespace vprocfs
