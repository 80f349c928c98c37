#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace vprocfs {

/// Which lines are part of what the kernel tells of the whole machine when a task meets trouble or
/// asks for it: states of memory, of tasks and of CPUs, registers, stacks. A pure function of the
/// lines that it was asked about. Not thread-safe.
class Dumps {
 public:
  /// Whether a line that `task` printed then begins a dump, or goes on with one of the same task.
  bool has(pid_t task, std::string_view text, uint64_t time_us);

 private:
  std::unordered_map<pid_t, uint64_t> last_us_;  ///< when a line of its dump was printed
};

}  // namespace vprocfs
