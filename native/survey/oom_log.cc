#include "survey/oom_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

constexpr size_t kMostKills = 1024;
// Of one reading of the log, so that a flood of lines does not hold the caller.
constexpr int kMostRecords = 100000;
constexpr std::string_view kStart = "oom-kill:constraint=";
constexpr std::string_view kTask = ",task_memcg=";

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool is_below(std::string_view path, std::string_view root) {
  if (root == "/") return starts_with(path, "/");
  return starts_with(path, root) && (path.size() == root.size() || path[root.size()] == '/');
}

/// "\x0a" and the like, as the log writes bytes that are not printable.
std::string unescape(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool code = text[i] == '\\' && i + 3 < text.size() && text[i + 1] == 'x';
    const int high = code ? digit(text[i + 2]) : -1, low = code ? digit(text[i + 3]) : -1;
    if (high < 0 || low < 0) {
      out.push_back(text[i]);
      continue;
    }
    out.push_back(static_cast<char>(high * 16 + low));
    i += 3;
  }
  return out;
}

}  // namespace

std::optional<OomKill> parse_oom_kill(std::string_view line) {
  if (!starts_with(line, kStart)) return std::nullopt;
  OomKill kill;
  kill.by_limit = starts_with(line.substr(kStart.size()), "CONSTRAINT_MEMCG,");
  // "…,task_memcg=PATH,task=COMMAND,pid=N,uid=N"; the command has no more than 15 bytes.
  const size_t uid = line.rfind(",uid=");
  const size_t pid = uid == line.npos ? uid : line.rfind(",pid=", uid);
  const size_t task = pid == line.npos ? pid : line.rfind(",task=", pid);
  if (task == line.npos) return std::nullopt;
  const auto number = parse_u64(line.substr(pid + 5, uid - pid - 5));
  if (!number) return std::nullopt;
  kill.pid = *number;
  kill.task = unescape(line.substr(task + 6, pid - task - 6));
  const std::string_view before = line.substr(0, task);
  if (!kill.by_limit) {
    const size_t at = before.rfind(kTask);
    if (at == before.npos) return std::nullopt;
    kill.cgroup = unescape(before.substr(at + kTask.size()));
    return kill;
  }
  constexpr std::string_view kLimit = ",oom_memcg=";
  const size_t limit = before.find(kLimit);
  if (limit == before.npos) return std::nullopt;
  const size_t root = limit + kLimit.size();
  // Where one path ends and the other begins is where the second lies below the first.
  for (size_t at = before.find(kTask, root); at != before.npos; at = before.find(kTask, at + 1)) {
    const std::string_view path = before.substr(at + kTask.size());
    if (!is_below(path, before.substr(root, at - root))) continue;
    kill.cgroup = unescape(path);
    return kill;
  }
  return std::nullopt;
}

OomLog::OomLog() : kmsg_(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {}

size_t OomLog::update() {
  if (!kmsg_) return 0;
  size_t found = 0;
  // The log's clock stands still in suspend, as CLOCK_MONOTONIC does.
  const double boot_s = clock_s(CLOCK_REALTIME) - clock_s(CLOCK_MONOTONIC);
  char record[8192];
  for (int i = 0; i < kMostRecords; ++i) {
    const ssize_t n = ::read(kmsg_.get(), record, sizeof(record));
    // EPIPE: overwritten before we came; the next read goes on with the oldest that is left.
    if (n < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (n <= 0) break;
    // "priority,sequence,microseconds,flags;text", and lines of details after it.
    std::string_view text(record, static_cast<size_t>(n));
    text = text.substr(0, text.find('\n'));
    const size_t semicolon = text.find(';');
    if (semicolon == text.npos) continue;
    auto kill = parse_oom_kill(text.substr(semicolon + 1));
    if (!kill) continue;
    std::string_view prefix = text.substr(0, semicolon);
    prefix.remove_prefix(prefix.find(',') + 1);
    kill->sequence = parse_u64(prefix.substr(0, prefix.find(','))).value_or(0);
    prefix.remove_prefix(prefix.find(',') + 1);
    const auto micros = parse_u64(prefix.substr(0, prefix.find(',')));
    kill->time_s = boot_s + static_cast<double>(micros.value_or(0)) / 1e6;
    kills_.push_back(std::move(*kill));
    if (kills_.size() > kMostKills) kills_.pop_front();
    ++found;
  }
  return found < kills_.size() ? found : kills_.size();
}

}  // namespace vprocfs
