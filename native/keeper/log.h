#pragma once

#include <cstdint>

namespace vprocfs {

/// Gravest first.
enum class LogLevel { kError, kWarn, kInfo, kDebug };

/// As in log lines and on command lines.
const char* to_text(LogLevel level);

struct LogOptions {
  bool json = false;                 ///< lines as JSON
  bool journal = false;              ///< stderr is systemd's journal: lines begin with a priority
  LogLevel level = LogLevel::kInfo;  ///< the least grave that is logged
  /// Lines for which there was no room, since the last one that got through.
  mutable uint64_t dropped = 0;
};

/// Whether stderr is systemd's journal (JOURNAL_STREAM of systemd.exec(5)).
bool stderr_is_journal();

/// One line on stderr, in one write(2); none where that would block, and the next one says how many
/// these were. No allocation.
[[gnu::format(printf, 3, 4)]] void keeper_log(const LogOptions& options, LogLevel level,
                                              const char* format, ...);

}  // namespace vprocfs
