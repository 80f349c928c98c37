#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "source/cgroup_mounts.h"

namespace vprocfs {

/// A cgroup whose tasks are to be counted, with those of all cgroups below it.
struct CountedCgroup {
  std::optional<Controller> v1;  ///< the v1 hierarchy that it is in; nothing: cgroup2
  uint64_t id = 0;               ///< its kernfs id, which is its inode number
  std::string path;              ///< as in /proc/<pid>/cgroup
  uint64_t pid_namespace = 0;    ///< whose last PID is wanted: inode number of the namespace

  friend bool operator==(const CountedCgroup& a, const CountedCgroup& b) {
    return a.v1 == b.v1 && a.id == b.id && a.path == b.path && a.pid_namespace == b.pid_namespace;
  }
};

/// Tasks (threads, as for the kernel's own load) of a cgroup at one moment.
struct TaskCount {
  uint64_t running = 0;   ///< running or runnable; those held back by a CPU quota too
  uint64_t blocked = 0;   ///< in uninterruptible sleep, as far as it counts for the load
  uint64_t total = 0;     ///< all
  uint64_t last_pid = 0;  ///< as seen in the PID namespace; 0: not known
};

/// Counts the tasks of many cgroups in one pass. Not thread-safe.
class TaskCounter {
 public:
  virtual ~TaskCounter() = default;

  /// One count for each of `cgroups`, in their order. A cgroup that is gone has no tasks. An error
  /// means that this way of counting does not work (any more).
  virtual Result<std::vector<TaskCount>> count(const std::vector<CountedCgroup>& cgroups) = 0;

  /// "bpf" or "scan".
  virtual const char* name() const = 0;
};

/// Counts within the kernel by a BPF task iterator (Linux 5.8): all tasks of the node are looked at
/// once, whatever the number of cgroups. Borrows the descriptor of a sysfs root. Errors: ENOENT
/// without type information (CONFIG_DEBUG_INFO_BTF), EPERM, or whatever the kernel's verifier says.
Result<std::unique_ptr<TaskCounter>> make_bpf_task_counter(int sysfs_fd);

/// Counts through cgroup and procfs files, of the cgroups asked for only. Borrows both arguments.
///
/// A pass takes at most about `budget_us` of CPU time. If that is too little to read every task of
/// a cgroup, it reads those that were running or blocked last time first, then others in turn, and
/// extrapolates. Cgroups for which no time was left keep their figures and come first in the next
/// pass. `last_pid` is the PID of the task with the highest number.
std::unique_ptr<TaskCounter> make_scan_task_counter(const CgroupMounts& mounts, int procfs_fd,
                                                    uint64_t budget_us);

}  // namespace vprocfs
