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

/// Whether it is the init of its PID namespace: what is mounted on /proc is its own then.
bool is_init(pid_t pid);

/// The process through which mount namespace `key`, in which `pid` lives, is read: the init of its
/// PID namespace if that lives in the same mount namespace, because it outlives the others (Linux
/// 6.11), otherwise `pid` itself.
pid_t representative(pid_t pid, uint64_t key);

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
