#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace vprocfs {

/// A process that the kernel killed for want of memory.
struct OomKill {
  double time_s = 0;      ///< since the epoch
  std::string cgroup;     ///< its memory cgroup, from the hierarchy's root
  std::string task;       ///< its command
  uint64_t pid = 0;       ///< as the host sees it
  uint64_t sequence = 0;  ///< of the log's record
  bool by_limit = false;  ///< a cgroup's limit was reached, not the end of the node's memory
};

/// The line that begins with "oom-kill:" (mm/oom_kill.c dump_oom_summary); nothing for any other.
/// Names in it are chosen by containers, commas and all; whatever they choose, none can have a kill
/// by a limit of its own ascribed to another cgroup.
std::optional<OomKill> parse_oom_kill(std::string_view line);

/// The kills that the kernel's log tells of (/dev/kmsg). Not thread-safe.
class OomLog {
 public:
  OomLog();

  /// False where the log cannot be read: nothing is known then.
  bool readable() const { return static_cast<bool>(kmsg_); }
  /// Takes in what was logged since the last call; returns how many kills are new. They are the
  /// last ones of kills().
  size_t update();
  /// The latest ones, oldest first.
  const std::deque<OomKill>& kills() const { return kills_; }

 private:
  Fd kmsg_;
  std::deque<OomKill> kills_;
};

}  // namespace vprocfs
