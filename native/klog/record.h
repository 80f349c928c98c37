#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vprocfs {

/// The longest record that /dev/kmsg gives (kernel/printk/internal.h, PRINTKRB_RECORD_MAX with its
/// prefix and details).
inline constexpr size_t kLongestRecord = 8192;

/// Who printed a record.
struct Printer {
  pid_t task = 0;       ///< the thread, as the host sees it; 0: an interrupt
  uint64_t at_us = 0;   ///< CLOCK_MONOTONIC
  uint64_t cgroup = 0;  ///< its id, of the hierarchy that perf_event is in; 0: not told
};

/// One record of the kernel's log, as /dev/kmsg gives it
/// (Documentation/ABI/testing/dev-kmsg): "6,123,4567,-;text", then lines of details, which are
/// passed over.
struct LogRecord {
  uint8_t level = 6;      ///< 0 (emergency) to 7 (debug)
  uint32_t facility = 0;  ///< 0: the kernel's own; what was written to the log never has it
  uint64_t sequence = 0;  ///< counts up by one from record to record
  uint64_t time_us = 0;   ///< of the log's clock (local_clock()), which is about CLOCK_MONOTONIC
  /// The log had been read whole after this moment, CLOCK_BOOTTIME, and did not have the record
  /// yet; 0: that is not known.
  uint64_t after_us = 0;
  bool fragment = false;           ///< flag "c": continues a line that began in another record
  pid_t caller_task = 0;           ///< the thread that printed it (PRINTK_CALLER); 0: not told
  std::optional<Printer> printer;  ///< if a tracepoint told
  std::string text;                ///< the bytes themselves: escapes are undone
};

/// Nothing: it is not a whole record. Ignores unknown fields.
std::optional<LogRecord> parse_record(std::string_view bytes);

/// "\x0a" and the like, as the log writes bytes that are not printable, become these bytes.
std::string unescape_record(std::string_view text);

/// The reverse (kernel/printk/printk.c msg_add_ext_text).
std::string escape_record(std::string_view text);

}  // namespace vprocfs
