#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vprocfs {

/// A process that the OOM killer killed.
struct OomKill {
  uint64_t at_us = 0;        ///< as of LogMoment
  uint64_t slack_us = 0;     ///< likewise
  std::string constraint;    ///< "CONSTRAINT_MEMCG" and the like
  std::string cgroup;        ///< its memory cgroup, from the hierarchy's root, or the one above
  std::string limit_cgroup;  ///< the cgroup whose limit was reached; empty: no limit was
  std::string task;          ///< its command
  uint64_t pid = 0;          ///< as the host sees it
  uint64_t uid = 0;          ///< likewise
  uint64_t sequence = 0;     ///< of the log's record
  bool by_limit = false;     ///< a cgroup's limit was reached, not the end of the node's memory
};

/// The line that begins with "oom-kill:" (mm/oom_kill.c dump_oom_summary), without escapes; nothing
/// for any other. Containers choose the names in it, which may even contain commas, but no choice
/// can attribute a kill to another container's cgroup. If the end of a path cannot be told from the
/// beginning of a command, `cgroup` is the cgroup above.
std::optional<OomKill> parse_oom_kill(std::string_view line);

}  // namespace vprocfs
