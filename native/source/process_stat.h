#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vprocfs {

// What the text of /proc/<pid>/stat says, and that of a thread's. No allocation.

/// The fields that somebody reads, by their numbers in proc(5).
enum class StatField : int {
  kState = 3,
  kFlags = 9,
  kThreads = 20,
  kStartTime = 22,
  kPending = 31,
  kBlocked = 32,
  kExitCode = 52,
};

// In a task's flags, the same in all kernels.
inline constexpr uint64_t kExiting = 0x4;     ///< it is in do_exit() (PF_EXITING)
inline constexpr uint64_t kSignaled = 0x400;  ///< a signal ends it (PF_SIGNALED)

/// What stands in a field, from kState on; empty if the text ends before it. The command, which
/// stands before these, may hold blanks and parentheses.
std::string_view stat_field(std::string_view text, StatField field);

/// The number in a field. Nothing if there is no such field, or something else in it.
std::optional<uint64_t> stat_number(std::string_view text, StatField field);

}  // namespace vprocfs
