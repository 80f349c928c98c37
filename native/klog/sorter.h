#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "klog/dumps.h"
#include "klog/line.h"
#include "klog/oom_kill.h"
#include "klog/record.h"
#include "klog/shape.h"

namespace vprocfs {

/// What lines in a container's log are about.
enum class LogKind : uint8_t { kOom, kForks, kFault, kSeccomp, kHung, kCaller, kCount };
inline constexpr size_t kLogKinds = static_cast<size_t>(LogKind::kCount);
const char* to_text(LogKind kind);

/// Lines of the host's log that belong together, and what proves whose they are: the first of these
/// that is there.
struct LogGroup {
  LogKind kind = LogKind::kOom;
  std::string memory_path;  ///< a cgroup, where memory is accounted
  std::string pids_path;    ///< a cgroup, where processes are counted
  pid_t pid = 0;            ///< a thread, as the host sees it
  std::string limit_path;   ///< the cgroup that lines `of_limit` are about; empty: nobody's to see
  std::vector<LogLine> lines;
  std::optional<Printer> printer;  ///< of its first line, where a tracepoint tells
  std::optional<OomKill> kill;     ///< what the group tells of

  uint64_t first() const { return lines.empty() ? 0 : lines.front().sequence; }
};

/// Puts the records of the host's log together to groups, in the order in which these begin. A pure
/// function of what it is given: no clock, no process is looked at. Not thread-safe.
class LogSorter {
 public:
  /// Records in the order of the log. `now_us`: when it was read, of any clock that goes on.
  void take(const LogRecord& record, uint64_t now_us);
  /// No record waits to be read: what has waited long enough for more is whole.
  void idle(uint64_t now_us);
  /// When idle() has something to do, on the scale of `now_us`; 0: never.
  uint64_t due_us() const;

  /// Tasks whose faults still lack their "Code:" line, the oldest first, as far as it is known
  /// which task printed the fault.
  std::vector<pid_t> without_code() const;

  /// The next group that is whole, if those that began before it are.
  std::optional<LogGroup> next();
  /// The first record that may still be part of a group; 0: there is none.
  uint64_t first_waiting() const;

 private:
  struct Pending {
    LogGroup group;
    uint64_t touched_us = 0;
    pid_t caller = 0;         ///< who printed its first line, where that is known
    pid_t summarised_by = 0;  ///< of a kill: who printed its summary, where a tracepoint tells
    bool alone = false;       ///< of a fault: when it came all earlier ones had their code
    bool open = false;
    bool is_scored = false;  ///< of a kill: which process was chosen has been told
  };
  using Groups = std::list<Pending>;

  Groups::iterator begin_group(LogKind kind, LogShape& shape, uint64_t now_us);
  void take_plain(const LogRecord& record, uint64_t now_us);
  /// Records before this one were lost.
  void note_loss();
  void take_oom(LogShape& shape, const LogRecord& record, uint64_t now_us);
  void take_killed(LogShape& shape, const LogRecord& record, uint64_t now_us);
  bool is_thread_of_block(const LogRecord& record) const;
  void take_reaped(LogShape& shape, uint64_t now_us);
  void take_fault(LogShape& shape, const LogRecord& record, uint64_t now_us);
  void take_code(LogShape& shape, pid_t caller);
  void add(Groups::iterator to, LogShape& shape, uint64_t now_us);
  void close_block();
  enum class Faults : uint8_t { kOfUnknown, kAll };
  void close_faults(Faults which);
  void remember(pid_t pid, const LogGroup& group);

  struct Victim {
    pid_t pid = 0;
    std::string memory_path;
  };
  Groups groups_;
  Dumps dumps_;
  Groups::iterator block_ = groups_.end();  ///< of the kill that is being told of
  size_t pending_codes_ = 0;                ///< faults whose "Code:" has not come
  uint64_t codes_pending_since_us_ = 0;
  std::string group_path_;  ///< the cgroup all of whose tasks are being killed
  uint64_t group_since_us_ = 0;
  pid_t group_printer_ = 0;  ///< who prints that, where that is known
  uint64_t last_sequence_ = 0;
  std::deque<Victim> victims_;
};

}  // namespace vprocfs
