#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

// The namespaces that a process lives in.

/// The number of its namespace of a kind ("mnt", "pid"). `process`: its PID, or "self". 0: it has
/// ended.
uint64_t namespace_of(const std::string& process, const char* which);

/// Whether a process is the init of its PID namespace.
bool is_init(pid_t pid);

/// The process through which mount namespace `key`, in which `pid` lives, is read: the init of its
/// PID namespace if that lives in the same mount namespace, because it outlives the others (Linux
/// 6.11), otherwise `pid` itself.
pid_t representative(pid_t pid, uint64_t key);

/// Identifies a tenant: the outermost PID namespace around its processes, below the host's. All
/// that a container nests is in it.
struct TenantNamespace {
  uint64_t number = 0;  ///< 0: the process is the host's and has no tenant
  Fd pids;              ///< while it is open, no other namespace has the number
};

/// The tenant of a process, below the PID namespace with the number `own`. ESRCH when it has ended;
/// EMFILE, ENFILE or ENOMEM when there is no descriptor to be had for it.
Result<TenantNamespace> tenant_of(pid_t pid, uint64_t own);

}  // namespace vprocfs
