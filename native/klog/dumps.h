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
  void note(pid_t task, uint64_t time_us) { note(task, {time_us, UINT64_MAX}); }
  /// The dump of `task`, if there is one, is over.
  void end(pid_t task) { dumps_.erase(task); }
  /// Lines before `time_us` were lost: each task may have begun a dump in them.
  void note_loss(uint64_t time_us) { lost_us_ = time_us; }

 private:
  struct Dump {
    uint64_t last_us = 0;   ///< when its task last printed a line of it
    uint64_t until_us = 0;  ///< it ends then at the latest

    bool goes_on(uint64_t now_us) const;
  };
  void note(pid_t task, const Dump& dump);

  std::optional<uint64_t> lost_us_;
  std::unordered_map<pid_t, Dump> dumps_;  ///< by task
};

}  // namespace vprocfs
