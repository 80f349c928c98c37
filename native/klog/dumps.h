#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace vprocfs {

/// Recognizes lines of the dumps that the kernel prints about the whole machine when a task runs
/// into trouble or asks for them: the state of memory, tasks and CPUs, registers, stacks. Depends
/// only on the lines it was asked about. Not thread-safe.
class Dumps {
 public:
  /// Whether a line that `task` printed begins a dump, or continues one of the same task.
  /// `time_us`: of the log's clock.
  bool take(pid_t task, std::string_view text, uint64_t time_us);
  /// A line that `task` printed is known to be of a dump; 0 is ignored.
  void note(pid_t task, uint64_t time_us);
  /// The dump of `task`, if there is one, is over.
  void end(pid_t task) { last_us_.erase(task); }
  /// Lines before `time_us` were lost: each task may have begun a dump in them.
  void note_loss(uint64_t time_us) { lost_us_ = time_us; }

 private:
  std::optional<uint64_t> lost_us_;
  std::unordered_map<pid_t, uint64_t> last_us_;  ///< when a task last printed a line of a dump
};

}  // namespace vprocfs
