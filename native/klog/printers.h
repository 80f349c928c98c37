#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "klog/record.h"
#include "source/tasks/perf_rings.h"

namespace vprocfs {

/// Which task printed which text, from the tracepoint printk:console, which fires in the printing
/// task when the kernel stores a record (printk_sprint(), since Linux 5.19). It gives neither the
/// record's number nor its time on the log's clock, so a text is matched to a record if it is equal
/// and nobody else printed the same at about that time. Not thread-safe.
class PrintedTexts {
 public:
  /// A hit: an entry of "printk/console", whose fields are as `knows_format()` checks.
  void add(const TraceHit& hit);
  static bool knows_format(std::string_view format);

  /// Who printed a record. Call once for each record, in their order. The record was logged at
  /// `logged_us`, CLOCK_MONOTONIC, or shortly before. Nothing: the printer is not proven, or was an
  /// interrupt. A "Code:" line is looked for among those of the tasks that `faulted`; if several
  /// printed the same line, the first of them is as good as any.
  std::optional<Printer> take(const LogRecord& record, uint64_t logged_us,
                              const std::vector<pid_t>& faulted = {});

  /// Forgets hits that are too old for any record that is logged from then on.
  void forget(uint64_t logged_us);
  /// Hits were lost: no printer of a record that was logged by then is proven.
  void note_loss(uint64_t now_us) { lost_us_ = now_us; }

 private:
  struct Hit {
    Printer printer;
    bool is_used = false;
  };
  struct SameText {
    std::deque<Hit> hits;  ///< the oldest first
    uint64_t lost_us = 0;  ///< when the last hit that had no room came
  };
  using Hits = std::unordered_map<std::string, SameText>;
  void drop_oldest();
  std::optional<Printer> take_text(const std::string& text, uint64_t logged_us);

  Hits hits_;
  std::deque<const std::string*> order_;  ///< keys, once for each hit
  uint64_t lost_us_ = 0;
};

/// The printers of this machine's records.
class Printers {
 public:
  /// Error: the kernel is older, or forbids it; why.
  static Result<std::unique_ptr<Printers>> open();

  /// Reads new hits. Afterwards all records that can be read by now have theirs.
  void update();
  std::optional<Printer> take(const LogRecord& record, uint64_t logged_us,
                              const std::vector<pid_t>& faulted) {
    return texts_.take(record, logged_us, faulted);
  }
  /// All records that were logged by then have been looked up.
  void forget(uint64_t logged_us) { texts_.forget(logged_us); }

 private:
  std::unique_ptr<PerfRings> rings_;
  PrintedTexts texts_;
};

}  // namespace vprocfs
