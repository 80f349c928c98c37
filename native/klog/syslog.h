#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "klog/logs.h"
#include "klog/span.h"

namespace vprocfs {

/// The first argument of syslog(2) (include/linux/syslog.h).
enum SyslogAction : int32_t {
  kSyslogClose = 0,
  kSyslogOpen = 1,
  kSyslogRead = 2,  ///< destructive, and waits for records
  kSyslogReadAll = 3,
  kSyslogReadClear = 4,
  kSyslogClear = 5,
  kSyslogConsoleOff = 6,
  kSyslogConsoleOn = 7,
  kSyslogConsoleLevel = 8,
  kSyslogUnread = 9,
  kSyslogSize = 10,
};

/// What a log has room for, and what one call gets of it at most, in bytes.
inline constexpr size_t kSyslogBytes = size_t{64} << 10;

/// One call, as its caller made it.
struct SyslogCall {
  int32_t action = kSyslogClose;
  uint64_t buffer = 0;  ///< its address
  int32_t bytes = 0;    ///< room in the buffer; the console's level
};

/// How a call ends, as far as that is known before somebody writes to its buffer.
struct SyslogAnswer {
  enum class Kind : uint8_t {
    kValue,  ///< it ends: with `value`, or `error` where that is not 0
    kText,   ///< its buffer gets text_of()
    kWait,   ///< there is nothing to be read before the log is added to
  } kind = Kind::kValue;
  int64_t value = 0;
  int error = 0;  ///< an errno value
};

/// Whether an action is for holders of CAP_SYSLOG only; `restricted`: sysctl kernel.dmesg_restrict.
bool needs_syslog_capability(int32_t action, bool restricted);

/// Does what do_syslog() of kernel/printk/printk.c does with the log of one container, for a caller
/// who may.
SyslogAnswer answer_syslog(KernelLogs& logs, ContainerId id, const SyslogCall& call);

/// What kText is about; empty where another call has had it meanwhile. `span` has what was taken
/// or cleared before it is, and where it is not empty the same is given again.
std::string text_of_syslog(KernelLogs& logs, ContainerId id, const SyslogCall& call, LogSpan& span);

/// Nobody got the text: the next one does.
void give_back(KernelLogs& logs, ContainerId id, const LogSpan& span);

}  // namespace vprocfs
