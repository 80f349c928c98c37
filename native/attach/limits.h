#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "base/fd.h"
#include "source/cgroup_mounts.h"

namespace vprocfs {

// Limits what one run may cost, so that a container whose mounts are expensive to handle pays for
// them itself.

/// Limits the CPU time and memory of this process, and has the kernel kill it first when memory is
/// short.
void limit_self();

/// Ends this process some time after `ms` have passed, if nobody has ended it by then.
void end_after(uint32_t ms);

/// CPU time that a process has used, µs; 0 when it has ended.
uint64_t cpu_time_us(pid_t pid);

/// A process whose cgroups can be charged later on: by then its PID may be another one's.
class Payer {
 public:
  explicit Payer(pid_t pid);
  /// Charges what a process uses from now on to the payer's cgroups that limit CPU time or memory;
  /// to those that it had at first if it has ended. Does what it can. (The priority stays: the
  /// process holds locks of the kernel while it reads a mount table, and whoever mounts anything
  /// would wait until it has its turn.)
  void charge(pid_t process) const;

 private:
  /// Nothing: it has ended.
  std::optional<CgroupPaths> paths() const;

  pid_t pid_;
  Fd pidfd_;
  std::optional<CgroupPaths> first_;
};

/// Locks one mount namespace against other runs, and waits for the one that holds the lock. The
/// lock is held until the descriptor is closed. Empty: the lock cannot be taken.
Fd lock_namespace(uint64_t mount_namespace);

/// The same for the runs that watchers start for one tenant, without waiting. `busy`: another run
/// for the tenant has the lock, perhaps one that was killed and does not end. Only the lower 32
/// bits of the number count, which name the tenant's namespace (see Tenants).
Fd lock_tenant(uint64_t tenant, bool& busy);

}  // namespace vprocfs
