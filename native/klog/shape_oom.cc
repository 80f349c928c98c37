#include "klog/shape_oom.h"

#include <algorithm>
#include <climits>

#include "klog/shape_words.h"

namespace vprocfs {
namespace {

using Is = LogShape::Is;

/// "[   4242]   100  4242    17001 …"
bool task_row(std::string_view text, LogShape& out) {
  const size_t close = text.find(']');
  if (!starts_with(text, "[") || close == text.npos) return false;
  std::string_view pid_text = trim(text.substr(1, close - 1));
  std::string_view rest = text.substr(close + 1);
  const auto pid = take_pid(pid_text);
  if (!pid || !pid_text.empty()) return false;
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const auto uid = take_number(rest);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const auto group = uid ? take_pid(rest) : std::nullopt;
  if (!group || !starts_with(rest, " ")) return false;
  out.line.text("[").pid(static_cast<uint64_t>(*pid), static_cast<int>(close - 1)).text("] ");
  out.line.user(*uid, 5).text(" ").pid(static_cast<uint64_t>(*group), 5).text(rest);
  return true;
}

/// A statistic: "anon 4096".
bool is_statistic(std::string_view text) {
  constexpr size_t kLongest = 40;
  const size_t name = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789");
  if (name == 0 || name > kLongest || name == text.npos || text[name] != ' ') return false;
  text.remove_prefix(name + 1);
  return take_number(text).has_value() && text.empty();
}

/// Statistics, or an amount. Linux 5.2 to 6.0 prints many statistics in one record, whose end may
/// be cut off. An amount: "memory: usage 65536kB, limit …".
bool is_figure(std::string_view text) {
  for (const std::string_view start :
       {"memory: usage ", "memory+swap: usage ", "kmem: usage ", "swap: usage "}) {
    if (starts_with(text, start)) return true;
  }
  bool all = !text.empty();
  for_each_line(text, [&](std::string_view line) {
    const bool last = line.data() + line.size() == text.data() + text.size();
    all = all && (is_statistic(line) || (last && line.size() < text.size()));
  });
  return all;
}

bool oom_place(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "Memory cgroup stats for ";
  if (!starts_with(text, kStart)) return false;
  std::string_view path = text.substr(kStart.size());
  if (!ends_with(path, ":")) return false;
  path.remove_suffix(1);
  out.is = Is::kOomPlace;
  out.kill.limit_cgroup = path;
  out.line.of_limit = true;
  out.line.text(kStart).memory_path(path).text(":");
  return true;
}

bool oom_summary(std::string_view text, LogShape& out) {
  const auto kill = parse_oom_kill(text);
  if (!kill) return false;
  out.is = Is::kOomSummary;
  out.kill = *kill;
  out.pid = kill->pid <= INT_MAX ? static_cast<pid_t>(kill->pid) : 0;
  // Hides which of the host's nodes and CPUs the allocating task may use.
  out.line.text("oom-kill:constraint=").text(kill->constraint);
  out.line.text(",nodemask=(null),cpuset=/,mems_allowed=0");
  if (kill->by_limit) {
    out.line.text(",oom_memcg=").memory_path(kill->limit_cgroup);
  } else {
    out.line.text(",global_oom");
  }
  out.line.text(",task_memcg=").memory_path(kill->cgroup).text(",task=").text(kill->task);
  out.line.text(",pid=").victim(kill->pid).text(",uid=").user(kill->uid);
  return true;
}

/// "…: Killed process 42 (NAME) total-vm:…, UID:0 pgtables:…". `pid_at`: where the PID begins.
bool oom_victim(std::string_view text, size_t pid_at, LogShape& out) {
  std::string_view rest = text.substr(pid_at);
  const auto pid = take_pid(rest);
  if (!pid || !starts_with(rest, " (")) return false;
  out.pid = *pid;
  out.line.text(text.substr(0, pid_at)).victim(static_cast<uint64_t>(*pid));
  constexpr std::string_view kUser = "UID:";
  const size_t user = rest.rfind(kUser);
  if (user == rest.npos || user < rest.rfind(')')) {
    out.line.text(rest);
    return true;
  }
  out.line.text(rest.substr(0, user + kUser.size()));
  rest.remove_prefix(user + kUser.size());
  const auto uid = take_number(rest);
  if (!uid) return false;
  out.line.user(*uid).text(rest);
  return true;
}

/// What may stand before "Killed process". The empty one is last: every text begins with it.
constexpr std::string_view kOomStarts[] = {"Memory cgroup out of memory: ", "Out of memory: ",
                                           "Out of memory (oom_kill_allocating_task): ", ""};

bool oom_kill(std::string_view text, LogShape& out) {
  for (const std::string_view start : kOomStarts) {
    std::string_view rest = text;
    if (!take(rest, start) || !take(rest, "Killed process ")) continue;
    out.is = Is::kOomKilled;
    return oom_victim(text, text.size() - rest.size(), out);
  }
  constexpr std::string_view kReaped = "oom_reaper: reaped process ";
  if (!starts_with(text, kReaped)) return false;
  out.is = Is::kOomReaped;
  return oom_victim(text, kReaped.size(), out);
}

/// "Out of memory and no killable processes...", "…: OOM victim 42 (NAME) is already exiting. …"
bool oom_unkilled(std::string_view text, LogShape& out) {
  for (const std::string_view start : kOomStarts) {
    if (take(text, start)) break;
  }
  constexpr std::string_view kEnd = " is already exiting. Skip killing the task";
  const bool is_exiting = starts_with(text, "OOM victim ") && ends_with(text, kEnd);
  if (!is_exiting && !starts_with(text, "Out of memory and no killable processes...")) return false;
  out.is = Is::kOomUnkilled;
  return true;
}

bool oom_group(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "Tasks in ";
  constexpr std::string_view kEnd = " are going to be killed due to memory.oom.group set";
  const size_t end = text.size() - std::min(text.size(), kEnd.size());
  // Only the kernel's own line begins and ends so: in other lines a name may be one of the two.
  if (!starts_with(text, kStart) || end < kStart.size() || text.substr(end) != kEnd) return false;
  out.is = Is::kOomGroup;
  out.kill.cgroup = text.substr(kStart.size(), end - kStart.size());
  out.line.text(kStart).memory_path(out.kill.cgroup).text(kEnd);
  return true;
}

bool oom_begin(std::string_view text, LogShape& out) {
  const size_t at = text.find(" invoked oom-killer: gfp_mask=");
  if (at > kLongestName) return false;
  out.is = Is::kOomBegin;
  out.line.of_limit = true;
  out.line.text(text);
  return true;
}

}  // namespace

bool oom_shape(std::string_view text, LogShape& out) {
  constexpr bool (*kRules[])(std::string_view, LogShape&) = {oom_begin,    oom_summary, oom_kill,
                                                             oom_unkilled, oom_group,   oom_place};
  return std::any_of(std::begin(kRules), std::end(kRules), [&](const auto rule) {
    LogShape shape = out;
    if (!rule(text, shape)) return false;
    out = std::move(shape);
    return true;
  });
}

bool oom_detail(std::string_view text, LogShape& out) {
  const bool heading = starts_with(text, "Tasks state (memory values in pages)") ||
                       (starts_with(text, "[") && text.find("] ") != text.npos &&
                        text.find("pid") < 5 && text.find(" oom_score_adj name") != text.npos);
  if (heading || is_figure(text)) {
    out.line.text(text);
  } else if (!task_row(text, out)) {
    return false;
  }
  out.line.of_limit = true;
  out.is = Is::kOomDetail;
  return true;
}

}  // namespace vprocfs
