#include "klog/shape.h"

#include <algorithm>
#include <climits>

#include "source/parse.h"

namespace vprocfs {
namespace {

using Is = LogShape::Is;

// TASK_COMM_LEN without its end.
constexpr size_t kLongestName = 15;
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHex = "0123456789abcdef";

bool starts_with(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

bool take(std::string_view& text, std::string_view start) {
  if (!starts_with(text, start)) return false;
  text.remove_prefix(start.size());
  return true;
}

/// Cuts a number off.
std::optional<uint64_t> take_number(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of(kDigits), text.size());
  if (end == 0 || end > 19) return std::nullopt;
  const auto number = parse_u64(text.substr(0, end));
  text.remove_prefix(end);
  return number;
}

std::optional<pid_t> take_pid(std::string_view& text) {
  const auto number = take_number(text);
  if (!number || *number == 0 || *number > INT_MAX) return std::nullopt;
  return static_cast<pid_t>(*number);
}

bool take_hex(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of(kHex), text.size());
  text.remove_prefix(end);
  return end > 0;
}

/// "NAME[PID" before `at`: where the PID begins; npos when that is none.
size_t pid_before(std::string_view text, size_t at) {
  const size_t bracket = text.substr(0, at).find_last_not_of(kDigits);
  const bool found = bracket != text.npos && text[bracket] == '[' && bracket + 1 < at;
  return found && bracket <= kLongestName ? bracket + 1 : text.npos;
}

/// A line about a process: what is before its PID, the PID, what is after it.
bool about(std::string_view text, size_t pid_at, LogShape& out) {
  std::string_view rest = text.substr(pid_at);
  const auto pid = take_pid(rest);
  if (!pid) return false;
  out.pid = *pid;
  out.line.text(text.substr(0, pid_at)).pid(static_cast<uint64_t>(*pid));
  // Since 6.0 with the host's CPU.
  out.line.text(rest.substr(0, rest.rfind(" likely on CPU ")));
  return true;
}

/// arch/x86/mm/fault.c show_signal_msg(), and its like elsewhere. No name has room for one of these
/// after a bracket and a digit.
bool fault(std::string_view text, LogShape& out) {
  constexpr std::string_view kMarks[] = {"]: segfault at ", "]: segfault (11) at ",
                                         "]: unhandled exception: ", "]: unhandled signal "};
  for (const std::string_view mark : kMarks) {
    const size_t at = text.find(mark);
    const size_t pid_at = at == text.npos ? at : pid_before(text, at);
    if (pid_at == text.npos || !about(text, pid_at, out)) continue;
    out.is = Is::kFault;
    out.has_code = mark == kMarks[0];
    return true;
  }
  return false;
}

/// What follows the PID in arch/x86/kernel/traps.c show_signal().
bool is_trap(std::string_view rest) {
  const size_t ip = rest.find(" ip:");
  if (!take(rest, "] ") || ip == rest.npos) return false;
  const std::string_view what = rest.substr(0, ip - 2);
  if (what.find_first_not_of("abcdefghijklmnopqrstuvwxyz 0123456789-") != what.npos) return false;
  rest.remove_prefix(what.size());
  return take(rest, " ip:") && take_hex(rest) && take(rest, " sp:") && take_hex(rest) &&
         take(rest, " error:") && take_hex(rest);
}

bool trap(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "traps: ";
  if (!starts_with(text, kStart)) return false;
  const std::string_view body = text.substr(kStart.size());
  // The first that goes on as such a line does: a name has no room for all of that.
  for (size_t at = body.find(']'); at != body.npos; at = body.find(']', at + 1)) {
    const size_t pid_at = pid_before(body, at);
    if (pid_at == body.npos || !is_trap(body.substr(at))) continue;
    out.is = Is::kFault;
    return about(text, kStart.size() + pid_at, out);
  }
  return false;
}

bool code(std::string_view text, LogShape& out) {
  if (!starts_with(text, "Code: ")) return false;
  out.is = Is::kCode;
  if (text.substr(6).find_first_not_of("0123456789abcdef <>") == text.npos) out.line.text(text);
  return true;
}

/// kernel/auditsc.c audit_seccomp(): "audit: type=1326 audit(TIME:SERIAL): auid= uid= gid= ses=
/// subj= pid= comm= exe= …". What a label (subj) holds others may choose; names and paths after the
/// PID have neither blanks nor quotes.
bool seccomp(std::string_view text, LogShape& out) {
  std::string_view rest = text;
  if (!take(rest, "audit: type=1326 audit(")) return false;
  const size_t colon = rest.find(':');
  const size_t body = rest.find("): ");
  const size_t at = rest.rfind(" pid=");
  if (colon == rest.npos || body == rest.npos || at == rest.npos || colon > body || at < body) {
    return false;
  }
  out.line.text("audit: type=1326 audit(").text(rest.substr(0, colon)).text(":0):");
  std::string_view users = rest.substr(body + 3, at - body - 3);
  for (const std::string_view key : {"auid=", "uid=", "gid="}) {
    const auto value = take(users, key) ? take_number(users) : std::nullopt;
    if (!value) return false;
    out.line.text(" ").text(key).user(*value);
    take(users, " ");
  }
  rest.remove_prefix(at + 5);
  const auto pid = take_pid(rest);
  if (!pid || !starts_with(rest, " comm=")) return false;
  out.line.text(" pid=").pid(static_cast<uint64_t>(*pid)).text(rest);
  out.is = Is::kSeccomp;
  out.pid = *pid;
  return true;
}

bool hung(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "INFO: task ";
  if (!starts_with(text, kStart)) return false;
  size_t at = text.find(" blocked for more than ");
  if (at == text.npos) at = text.find(" blocked in I/O wait for more than ");
  if (at == text.npos) return false;
  const size_t colon = text.substr(0, at).find_last_not_of(kDigits);
  if (colon == text.npos || text[colon] != ':' || colon + 1 == at) return false;
  if (colon > kStart.size() + kLongestName) return false;
  out.is = Is::kHung;
  return about(text, colon + 1, out);
}

bool fork_rejected(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "cgroup: fork rejected by pids controller in ";
  if (!starts_with(text, kStart)) return false;
  out.is = Is::kForkRejected;
  out.path = text.substr(kStart.size());
  out.line.text(kStart).pids_path(out.path);
  return true;
}

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

/// Statistics, of which Linux 5.2 to 6.0 has many in one record, whose end may be cut off; or an
/// amount: "memory: usage 65536kB, limit …".
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

bool oom_place(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "Memory cgroup stats for ";
  if (!starts_with(text, kStart)) return false;
  std::string_view path = text.substr(kStart.size());
  // Before 5.2 the figures follow on the same line.
  const size_t figures = path.find(": cache:");
  const size_t end = figures != path.npos ? figures : path.rfind(':');
  if (end == path.npos) return false;
  out.is = Is::kOomPlace;
  out.kill.limit_cgroup = path.substr(0, end);
  out.line.of_limit = true;
  out.line.text(kStart).memory_path(path.substr(0, end)).text(path.substr(end));
  return true;
}

/// Linux 4.19: "Task in /a/b killed as a result of limit of /a".
bool task_in(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "Task in ", kMiddle = " killed as a result of limit of ";
  if (!starts_with(text, kStart)) return false;
  text.remove_prefix(kStart.size());
  for (size_t at = text.find(kMiddle); at != text.npos; at = text.find(kMiddle, at + 1)) {
    const std::string_view path = text.substr(0, at), limit = text.substr(at + kMiddle.size());
    if (!starts_with(limit, "/") || !is_below(path, limit)) continue;
    out.is = Is::kOomSummary;
    out.kill.by_limit = true;
    out.kill.cgroup = path;
    out.kill.limit_cgroup = limit;
    out.line.text(kStart).memory_path(path).text(kMiddle).memory_path(limit);
    return true;
  }
  return false;
}

bool oom_summary(std::string_view text, LogShape& out) {
  const auto kill = parse_oom_kill(text);
  if (!kill) return task_in(text, out);
  out.is = Is::kOomSummary;
  out.kill = *kill;
  out.pid = kill->pid <= INT_MAX ? static_cast<pid_t>(kill->pid) : 0;
  // Which nodes and CPUs whoever asked for memory may use is the host's affair.
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

/// "…: Killed process 42 (NAME) total-vm:…, UID:0 pgtables:…": from where the PID begins.
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

bool oom_kill(std::string_view text, LogShape& out) {
  constexpr std::string_view kStarts[] = {"", "Memory cgroup out of memory: ", "Out of memory: ",
                                          "Out of memory (oom_kill_allocating_task): "};
  for (const std::string_view start : kStarts) {
    std::string_view rest = text;
    if (!take(rest, start)) continue;
    const bool killed = take(rest, "Killed process ");
    if (!killed && !take(rest, "Kill process ")) continue;
    out.is = killed ? Is::kOomKilled : Is::kOomScore;
    return oom_victim(text, text.size() - rest.size(), out);
  }
  constexpr std::string_view kReaped = "oom_reaper: reaped process ";
  if (!starts_with(text, kReaped)) return false;
  out.is = Is::kOomReaped;
  return oom_victim(text, kReaped.size(), out);
}

bool oom_group(std::string_view text, LogShape& out) {
  constexpr std::string_view kStart = "Tasks in ";
  constexpr std::string_view kEnd = " are going to be killed due to memory.oom.group set";
  const size_t end = text.size() - std::min(text.size(), kEnd.size());
  // The kernel's own ends so: one that begins with a name has a file's name within it at most.
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

/// Whether a text has a number that may be an address.
bool has_address(std::string_view text) {
  constexpr size_t kShortest = 8;
  size_t run = 0;
  for (const char c : text) {
    run = kHex.find(c) != kHex.npos ? run + 1 : 0;
    if (run >= kShortest) return true;
  }
  return false;
}

LogLine line_of(const LogRecord& record) {
  LogLine line;
  line.sequence = record.sequence;
  line.time_us = record.time_us;
  line.level = record.level;
  return line;
}

}  // namespace

LogShape shape_of(const LogRecord& record) {
  // What somebody wrote to the log has another facility, whatever it says. A line that goes on in
  // a record of its own goes on with a name, perhaps.
  if (record.facility != 0 || record.fragment) return {};
  constexpr bool (*kRules[])(std::string_view, LogShape&) = {
      oom_begin, oom_summary, oom_kill, oom_group, oom_place,     fault,
      trap,      code,        seccomp,  hung,      fork_rejected, oom_detail};
  for (const auto rule : kRules) {
    LogShape out;
    out.line = line_of(record);
    if (rule(record.text, out)) return out;
  }
  return {};
}

std::optional<LogLine> plain_line(const LogRecord& record) {
  const std::string_view text = record.text;
  if (record.facility != 0 || record.caller_task == 0) return std::nullopt;
  for (const std::string_view start :
       {" ", "Call Trace", "RIP:", "Code:", "RSP:", "Modules linked in", "Hardware name"}) {
    if (starts_with(text, start)) return std::nullopt;
  }
  if (has_address(text) || text.find("CPU") != text.npos) return std::nullopt;
  LogLine line = line_of(record);
  const std::string own = std::to_string(record.caller_task);
  std::string_view rest = text;
  for (size_t at = rest.find(own); at != rest.npos; at = rest.find(own)) {
    const size_t end = at + own.size();
    const bool alone = (at == 0 || kDigits.find(rest[at - 1]) == kDigits.npos) &&
                       (end == rest.size() || kDigits.find(rest[end]) == kDigits.npos);
    line.text(rest.substr(0, alone ? at : end));
    if (alone) line.pid(static_cast<uint64_t>(record.caller_task));
    rest.remove_prefix(end);
  }
  line.text(rest);
  return line;
}

}  // namespace vprocfs
