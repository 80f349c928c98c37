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

  /// Who printed a record, each of which is asked about once, in their order. It was logged by
  /// `logged_us`, CLOCK_MONOTONIC, and not long before. Nothing: that is not proven, or it was an
  /// interrupt. Code ("Code: …") is asked about for tasks that have `faulted`: of those of them
  /// that printed the same it is the first, since which one does not matter.
  std::optional<Printer> take(const LogRecord& record, uint64_t logged_us,
                              const std::vector<pid_t>& faulted = {});

  /// Forgets what nothing logged from then on can have been printed by.
  void forget(uint64_t logged_us);
  /// Something was printed that was not recorded: nothing is proven of what was logged by then.
  void note_loss(uint64_t now_us) { lost_us_ = now_us; }

 private:
  struct Hit {
    Printer printer;
    bool is_used = false;
  };
  struct SameText {
    std::deque<Hit> hits;  ///< the oldest first
    uint64_t lost_us = 0;  ///< there were too many until then
  };
  using Hits = std::unordered_map<std::string, SameText>;
  void drop_oldest();
  std::optional<Printer> take_text(const std::string& text, uint64_t logged_us);

  Hits hits_;
  std::deque<const std::string*> order_;  ///< keys, once for each hit
  uint64_t lost_us_ = 0;
};

/// The same, of this machine.
class Printers {
 public:
  /// Error: the kernel is older, or forbids it; why.
  static Result<std::unique_ptr<Printers>> open();

  /// Takes in what has been printed. Whatever can be read from the log by now is known afterwards.
  void update();
  std::optional<Printer> take(const LogRecord& record, uint64_t logged_us,
                              const std::vector<pid_t>& faulted) {
    return texts_.take(record, logged_us, faulted);
  }
  /// All that was logged by then has been asked about.
  void forget(uint64_t logged_us) { texts_.forget(logged_us); }

 private:
  std::unique_ptr<PerfRings> rings_;
  PrintedTexts texts_;
};

}  // namespace vprocfs
