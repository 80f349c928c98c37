#pragma once

#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "container/resolve.h"
#include "container/sampler.h"
#include "source/cgroup_mounts.h"

namespace vprocfs {

/// What every part of the daemon reads the host through.
struct Host {
  Fd procfs, sysfs;
  CgroupMounts mounts;
  std::unique_ptr<Resolver> resolver;

  /// Errors: what could not be opened or read.
  static Result<std::unique_ptr<Host>> open();

  /// Whether we are in the kernel's first cgroup namespace. Elsewhere paths do not tell how deep a
  /// cgroup lies.
  bool has_first_cgroups() const;
  /// Whether we are in its first PID namespace. Elsewhere the kernel's log has other PIDs than we.
  bool has_first_pids() const;

  /// How its tasks are counted. `bpf`: a BPF program may, where has_first_cgroups().
  TaskCounting counting(bool bpf) const;
};

}  // namespace vprocfs
