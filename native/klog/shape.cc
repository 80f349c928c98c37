#include "klog/shape.h"

#include "klog/shape_oom.h"
#include "klog/shape_words.h"

namespace vprocfs {
namespace {

using Is = LogShape::Is;

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
  // Since 6.0 the line ends with the host's CPU, which is cut off.
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
  // The first bracket with all of this after it: a name has no room for that.
  for (size_t at = body.find(']'); at != body.npos; at = body.find(']', at + 1)) {
    const size_t pid_at = pid_before(body, at);
    if (pid_at == body.npos || !is_trap(body.substr(at))) continue;
    out.is = Is::kFault;
    return about(text, kStart.size() + pid_at, out);
  }
  return false;
}

bool code(std::string_view text, LogShape& out) {
  if (!is_code(text)) return false;
  out.is = Is::kCode;
  if (text.substr(6).find_first_not_of("0123456789abcdef <>") == text.npos) out.line.text(text);
  return true;
}

/// kernel/auditsc.c audit_seccomp(): "audit: type=1326 audit(TIME:SERIAL): auid= uid= gid= ses=
/// subj= pid= comm= exe= …". A label (subj) may contain anything. Names and paths after the PID
/// have neither blanks nor quotes.
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
  out.kills = rest.find(" sig=0 ") == rest.npos;
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

}  // namespace

bool is_code(std::string_view text) { return starts_with(text, "Code: "); }

LogShape shape_of(const LogRecord& record) {
  // Text that a process wrote to the log has another facility, whatever it says. A fragment may
  // begin with a name that a container chose.
  if (record.facility != 0 || record.fragment) return {};
  constexpr bool (*kRules[])(std::string_view, LogShape&) = {
      oom_shape, fault, trap, code, seccomp, hung, fork_rejected, oom_detail};
  for (const auto rule : kRules) {
    LogShape out;
    out.line = LogLine(record.sequence, record.time_us, record.level);
    if (rule(record.text, out)) return out;
  }
  return {};
}

}  // namespace vprocfs
