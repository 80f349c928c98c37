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

/// The size of a log as syslog(2) tells it, and the most that one call returns, in bytes.
inline constexpr size_t kSyslogBytes = size_t{64} << 10;

/// One call, as its caller made it.
struct SyslogCall {
  int32_t action = kSyslogClose;
  uint64_t buffer = 0;  ///< its address
  int32_t bytes = 0;    ///< size of the buffer; of kSyslogConsoleLevel the level
};

/// How a call ends, as far as that is known before its buffer is written to.
struct SyslogAnswer {
  enum class Kind : uint8_t {
    kValue,  ///< it ends: with `value`, or `error` where that is not 0
    kText,   ///< its buffer gets text_of_syslog()
    kWait,   ///< there is nothing to read before a record is added to the log
  } kind = Kind::kValue;
  int64_t value = 0;
  int error = 0;  ///< an errno value
};

/// Whether an action needs CAP_SYSLOG; `restricted`: sysctl kernel.dmesg_restrict.
bool needs_syslog_capability(int32_t action, bool restricted);

/// Does to the log of one container what do_syslog() of kernel/printk/printk.c does to the host's.
/// The caller has the right to it.
SyslogAnswer answer_syslog(KernelLogs& logs, ContainerId id, const SyslogCall& call);

/// The text for a call whose answer is kText; empty if another call has taken it meanwhile. Sets
/// `span` before anything is taken or cleared. If `span` is set already, returns its text again.
std::string text_of_syslog(KernelLogs& logs, ContainerId id, const SyslogCall& call, LogSpan& span);

/// Undoes what text_of_syslog() took, when no reader got it.
void give_back(KernelLogs& logs, ContainerId id, const LogSpan& span);

}  // namespace vprocfs
