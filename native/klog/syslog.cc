#include "klog/syslog.h"

#include <algorithm>
#include <cerrno>

namespace vprocfs {
namespace {

constexpr uint8_t kMinConsoleLevel = 1;
constexpr int32_t kMaxConsoleLevel = 8;

SyslogAnswer failed(int error) { return {SyslogAnswer::Kind::kValue, 0, error}; }

/// The checks before an action that fills a buffer.
SyslogAnswer check_buffer(const SyslogCall& call) {
  if (call.buffer == 0 || call.bytes < 0) return failed(EINVAL);
  if (call.bytes == 0) return {};
  const auto last = static_cast<uint64_t>(INT64_MAX) - static_cast<uint64_t>(call.bytes);
  if (call.buffer > last) return failed(EFAULT);
  return {SyslogAnswer::Kind::kText, 0, 0};
}

SyslogAnswer change_console(KernelLogs& logs, ContainerId id, const SyslogCall& call) {
  const bool sets = call.action == kSyslogConsoleLevel;
  if (sets && (call.bytes < 1 || call.bytes > kMaxConsoleLevel)) return failed(EINVAL);
  logs.change_marks(id, [&call](LogMarks& marks, uint64_t) {
    if (call.action == kSyslogConsoleOff) {
      if (marks.saved_level == 0) marks.saved_level = marks.console_level;
      marks.console_level = kMinConsoleLevel;
      return;
    }
    if (call.action == kSyslogConsoleLevel) {
      marks.console_level = static_cast<uint8_t>(call.bytes);
    } else if (marks.saved_level != 0) {
      marks.console_level = marks.saved_level;
    }
    marks.saved_level = 0;
  });
  return {};
}

}  // namespace

bool needs_syslog_capability(int32_t action, bool restricted) {
  return restricted || (action != kSyslogReadAll && action != kSyslogSize);
}

SyslogAnswer answer_syslog(KernelLogs& logs, ContainerId id, const SyslogCall& call) {
  SyslogAnswer out;
  switch (call.action) {
    case kSyslogClose:
    case kSyslogOpen:
      return out;
    case kSyslogRead:
      out = check_buffer(call);
      if (out.kind == SyslogAnswer::Kind::kText && !logs.has_unread(id)) {
        out.kind = SyslogAnswer::Kind::kWait;
      }
      return out;
    case kSyslogReadAll:
    case kSyslogReadClear:
      return check_buffer(call);
    case kSyslogClear:
      logs.change_marks(id, [](LogMarks& marks, uint64_t next) { marks.cleared = next; });
      return out;
    case kSyslogConsoleOff:
    case kSyslogConsoleOn:
    case kSyslogConsoleLevel:
      return change_console(logs, id, call);
    case kSyslogUnread:
      out.value = static_cast<int64_t>(logs.unread(id).bytes);
      return out;
    case kSyslogSize:
      out.value = kSyslogBytes;
      return out;
    default:
      return failed(EINVAL);
  }
}

std::string text_of_syslog(KernelLogs& logs, ContainerId id, const SyslogCall& call,
                           LogSpan& span) {
  if (span.kind() == LogSpan::kTaken) return logs.again(id, span.from(), span.to());
  if (span.kind() == LogSpan::kCleared) return logs.last_again(id, span.from(), span.to());
  const auto max_bytes = std::min(static_cast<size_t>(std::max(call.bytes, 0)), kSyslogBytes);
  const auto note = [&span](LogSpan::Kind kind) {
    return [&span, kind](LogPosition from, LogPosition to) { span.set(kind, from, to); };
  };
  if (call.action == kSyslogRead) return logs.take(id, max_bytes, note(LogSpan::kTaken));
  if (call.action == kSyslogReadAll) return logs.last(id, max_bytes);
  return logs.last_and_clear(id, max_bytes, note(LogSpan::kCleared));
}

void give_back(KernelLogs& logs, ContainerId id, const LogSpan& span) {
  if (span.kind() != LogSpan::kTaken) return;
  logs.give_back(id, span.from(), span.to());
}

}  // namespace vprocfs
