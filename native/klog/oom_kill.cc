#include "klog/oom_kill.h"

#include "source/parse.h"

namespace vprocfs {
namespace {

// A path begins with a slash, which no name has: so no name of a cpuset, which stands before the
// paths, can look like one of these.
constexpr std::string_view kStart = "oom-kill:constraint=";
constexpr std::string_view kLimit = ",oom_memcg=/";
constexpr std::string_view kTask = ",task_memcg=/";

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

}  // namespace

bool is_below(std::string_view path, std::string_view root) {
  if (root == "/") return starts_with(path, "/");
  return starts_with(path, root) && (path.size() == root.size() || path[root.size()] == '/');
}

std::optional<OomKill> parse_oom_kill(std::string_view line) {
  if (!starts_with(line, kStart)) return std::nullopt;
  OomKill kill;
  kill.constraint = line.substr(kStart.size(), line.find(',') - kStart.size());
  kill.by_limit = kill.constraint == "CONSTRAINT_MEMCG";
  // "…,task_memcg=PATH,task=COMMAND,pid=N,uid=N"; the command has no more than 15 bytes.
  const size_t uid = line.rfind(",uid=");
  const size_t pid = uid == line.npos ? uid : line.rfind(",pid=", uid);
  const size_t task = pid == line.npos ? pid : line.rfind(",task=", pid);
  if (task == line.npos) return std::nullopt;
  const auto number = parse_u64(line.substr(pid + 5, uid - pid - 5));
  const auto user = parse_u64(line.substr(uid + 5));
  if (!number || !user) return std::nullopt;
  kill.pid = *number;
  kill.uid = *user;
  kill.task = line.substr(task + 6, pid - task - 6);
  const std::string_view before = line.substr(0, task);
  if (!kill.by_limit) {
    // Below the container's own cgroup anything may follow.
    const size_t at = before.find(kTask);
    if (at == before.npos) return std::nullopt;
    kill.cgroup = before.substr(at + kTask.size() - 1);
    return kill;
  }
  const size_t limit = before.find(kLimit);
  if (limit == before.npos) return std::nullopt;
  const size_t root = limit + kLimit.size() - 1;
  // Where one path ends and the other begins is where the second lies below the first.
  for (size_t at = before.find(kTask, root); at != before.npos; at = before.find(kTask, at + 1)) {
    const std::string_view path = before.substr(at + kTask.size() - 1);
    const std::string_view above = before.substr(root, at - root);
    if (!is_below(path, above)) continue;
    kill.cgroup = path;
    kill.limit_cgroup = above;
    return kill;
  }
  return std::nullopt;
}

}  // namespace vprocfs
