#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// A task that has ended, as it was at that moment.
struct ExitedTask {
  /// PID namespaces that are kept of one, the host's first.
  static constexpr size_t kLevels = 6;
  uint64_t start_ns = 0;                       ///< CLOCK_BOOTTIME
  uint64_t end_ns = 0;                         ///< CLOCK_MONOTONIC
  uint32_t level = 0;                          ///< of its own PID namespace; the host's is 0
  std::array<uint32_t, kLevels> numbers{};     ///< its PID in each
  std::array<uint32_t, kLevels> namespaces{};  ///< their inode numbers
  uint32_t flags = 0;                          ///< see kSignaled
};

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
