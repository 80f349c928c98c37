#include "klog/oom_kill.h"

#include <algorithm>
#include <utility>

#include "base/words.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

// A path begins with a slash, which no name has. So the name of a cpuset, which stands before the
// paths, cannot look like one of these.
constexpr std::string_view kStart = "oom-kill:constraint=";
constexpr std::string_view kLimit = ",oom_memcg=/";
constexpr std::string_view kTask = ",task_memcg=/";
constexpr std::string_view kCommand = ",task=";
// TASK_COMM_LEN without its end.
constexpr size_t kLongestCommand = 15;

/// Finds the paths in the part of the line before the command. False: there are none.
bool take_paths(std::string_view before, OomKill& kill) {
  if (!kill.by_limit) {
    // The first is the kernel's: a cgroup's name may contain another one.
    const size_t at = before.find(kTask);
    if (at == before.npos) return false;
    kill.cgroup = before.substr(at + kTask.size() - 1);
    return true;
  }
  const size_t limit = before.find(kLimit);
  if (limit == before.npos) return false;
  const size_t root = limit + kLimit.size() - 1;
  // The paths are divided where the second one is below the first.
  for (size_t at = before.find(kTask, root); at != before.npos; at = before.find(kTask, at + 1)) {
    const std::string_view path = before.substr(at + kTask.size() - 1);
    const std::string_view above = before.substr(root, at - root);
    if (!is_below(path, above)) continue;
    kill.cgroup = path;
    kill.limit_cgroup = above;
    return true;
  }
  return false;
}

}  // namespace

std::optional<OomKill> parse_oom_kill(std::string_view line) {
  if (!starts_with(line, kStart)) return std::nullopt;
  OomKill kill;
  kill.constraint = line.substr(kStart.size(), line.find(',') - kStart.size());
  kill.by_limit = kill.constraint == "CONSTRAINT_MEMCG";
  // "…,task_memcg=PATH,task=COMMAND,pid=N,uid=N"
  const size_t uid = line.rfind(",uid=");
  const size_t pid = uid == line.npos ? uid : line.rfind(",pid=", uid);
  if (pid == line.npos) return std::nullopt;
  const auto number = parse_u64(line.substr(pid + 5, uid - pid - 5));
  const auto user = parse_u64(line.substr(uid + 5));
  if (!number || !user) return std::nullopt;
  kill.pid = *number;
  kill.uid = *user;
  // A command may look like the end of a path and a path like the beginning of a command. The
  // command has no more than 15 bytes, and only where it begins do the paths fit each other.
  const size_t first = pid - std::min(pid, kCommand.size() + kLongestCommand);
  size_t readings = 0;
  for (size_t at = line.find(kCommand, first); at < pid; at = line.find(kCommand, at + 1)) {
    OomKill other = kill;
    if (!take_paths(line.substr(0, at), other) || ++readings > 1) continue;
    other.task = line.substr(at + kCommand.size(), pid - at - kCommand.size());
    kill = std::move(other);
  }
  if (readings == 0) return std::nullopt;
  // The readings differ in the last name of the path only.
  if (readings > 1) kill.cgroup.resize(std::max<size_t>(kill.cgroup.rfind('/'), 1));
  return kill;
}

}  // namespace vprocfs
