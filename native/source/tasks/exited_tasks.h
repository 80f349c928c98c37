#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "base/fd.h"
#include "base/result.h"
#include "bpf/exits.h"

namespace vprocfs {

/// The tasks of containers that have ended last, kept by the kernel: a BPF program notes each at
/// its end (tracepoint sched_process_exit), so that a PID in the log can be told when its process
/// is gone already. Tasks of the host cost one look each. Needs BTF, as task_counter.h does.
class ExitedTasks {
 public:
  static Result<std::unique_ptr<ExitedTasks>> open(int sysfs_fd);

  /// The last one of this number, as the host sees it.
  std::optional<ExitedTask> find(pid_t pid) const;

 private:
  Fd map_, program_, link_;
};

}  // namespace vprocfs
