#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/fd.h"

namespace vprocfs {

// What one run may cost, so that whoever arranges its container's mounts to be costly pays for it.

/// Bounds what this process may use: CPU time, memory; and has the kernel kill it before any other
/// where memory is short.
void limit_self();

/// CPU time that a process has used, µs; 0 when it has ended.
uint64_t cpu_time_us(pid_t pid);

/// Charges what a process uses from now on to the cgroups of another one: those that limit CPU time
/// or memory. Does what it can. (Its priority stays: it holds locks of the kernel while it reads a
/// mount table, and whoever mounts anything would wait until it has its turn.)
void charge_to(pid_t process, pid_t payer);

/// Holds off other runs for one mount namespace, and waits for them; ends with the process. An
/// empty one, and no lock, where none can be had.
Fd lock_namespace(uint64_t mount_namespace);

/// The same for all that watchers have done for one tenant, without waiting. `busy` is set when
/// another one works for it, which includes one that was killed and cannot end. What counts of the
/// number are its lower 32 bits, which name the tenant's namespace: see Tenants.
Fd lock_tenant(uint64_t tenant, bool& busy);

}  // namespace vprocfs
