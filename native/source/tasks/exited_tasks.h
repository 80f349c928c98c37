#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "base/fd.h"
#include "base/result.h"
#include "bpf/exits.h"

namespace vprocfs {

/// The most recently ended tasks of containers, recorded in the kernel: a BPF program notes each
/// task when it ends (tracepoint sched_process_exit), so that a PID in the log can be attributed
/// even if its process is already gone. Tasks of the host cost one look each. Needs BTF, as
/// task_counter.h does.
class ExitedTasks {
 public:
  static Result<std::unique_ptr<ExitedTasks>> open(int sysfs_fd);

  /// The last one of this number, as the host sees it.
  std::optional<ExitedTask> find(pid_t pid) const;

 private:
  Fd map_, program_, link_;
};

}  // namespace vprocfs
