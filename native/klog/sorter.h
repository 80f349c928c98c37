#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "klog/dumps.h"
#include "klog/line.h"
#include "klog/oom_kill.h"
#include "klog/record.h"
#include "klog/shape.h"
#include "klog/victims.h"

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
  bool kills = false;       ///< kSeccomp: the system call ends the thread
  std::string limit_path;   ///< the cgroup that lines `of_limit` are about; empty: they are hidden
  std::vector<LogLine> lines;
  std::optional<Printer> printer;  ///< of its first line, if a tracepoint told
  uint64_t after_us = 0;           ///< of its first line; see LogRecord::after_us
  std::optional<OomKill> kill;     ///< of a kill, if the group has its summary

  uint64_t first() const { return lines.empty() ? 0 : lines.front().sequence; }
  /// Whether a container whose cgroup is `memory_cgroup`, empty if it has none, is told the lines
  /// `of_limit`: they say what all below the limit use, so the limit has to be its own.
  bool shows_limit(const std::string& memory_cgroup) const;
};

/// Puts the records of the host's log into groups, in the order in which these begin. Depends only
/// on its arguments: reads no clock and no process. Not thread-safe.
class LogSorter {
 public:
  /// Takes the next record of the log. `now_us`: when it was read, of any monotonic clock.
  void take(const LogRecord& record, uint64_t now_us);
  /// All records were read: groups that have waited long enough for more lines are whole.
  void idle(uint64_t now_us);
  /// When idle() has something to do, on the scale of `now_us`; 0: never.
  uint64_t due_us() const;

  /// Tasks whose faults still lack their "Code:" line, the oldest first, as far as it is known
  /// which task printed the fault.
  std::vector<pid_t> without_code() const;

  /// The next group that is whole, if those that began before it are.
  std::optional<LogGroup> next();
  /// The first record of the first group that next() has not returned; 0: there is none.
  uint64_t first_waiting() const;

 private:
  struct Pending {
    LogGroup group;
    uint64_t touched_us = 0;
    uint64_t added_us = 0;    ///< when it got its last line
    pid_t caller = 0;         ///< the task that printed its first line; 0: not known
    pid_t summarised_by = 0;  ///< of a kill: the task that printed its summary; 0: not known
    size_t rows = 0;          ///< of the table of processes, as far as it keeps them
    bool alone = false;       ///< of a fault: no earlier one lacked its code when it came
    bool open = false;
  };
  using Groups = std::list<Pending>;

  Groups::iterator begin_group(LogKind kind, LogShape& shape, uint64_t now_us);
  void take_plain(const LogRecord& record, uint64_t now_us);
  /// Records before this one were lost.
  void note_loss(const LogRecord& record);
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

  Groups groups_;
  Dumps dumps_;
  Groups::iterator block_ = groups_.end();  ///< the kill whose lines are coming
  size_t pending_codes_ = 0;                ///< faults whose "Code:" has not come
  uint64_t codes_pending_since_us_ = 0;
  std::string group_path_;  ///< the cgroup all of whose tasks are being killed
  uint64_t group_since_us_ = 0;
  pid_t group_printer_ = 0;  ///< the task that kills them; 0: not known
  uint64_t last_sequence_ = 0;
  uint64_t after_us_ = 0;  ///< of the present record
  Victims victims_;
};

}  // namespace vprocfs
