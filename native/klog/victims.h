#pragma once

#include <sys/types.h>

#include <deque>
#include <string>

namespace vprocfs {

/// Which memory cgroup the processes were in that were killed last, for lines about them that have
/// only a PID. Not thread-safe.
class Victims {
 public:
  /// A process with that PID was killed in that cgroup; empty: it is not known in which one.
  void note(pid_t pid, const std::string& memory_path);
  /// Of the last process with that PID that was killed; empty: not known.
  std::string path_of(pid_t pid) const;
  /// Whether the last process with that PID that was killed may be meant once more when all tasks
  /// of a cgroup are killed: it is in that cgroup, and this was not asked about it before.
  bool is_named_again(pid_t pid, const std::string& killed_path);
  /// Others may have been killed that had the PIDs since.
  void clear() { all_.clear(); }

 private:
  struct Victim {
    pid_t pid = 0;
    std::string memory_path;
    bool is_named_again = false;
  };
  std::deque<Victim> all_;  ///< in the order in which they were noted, one for each PID
};

}  // namespace vprocfs
