#include "klog/sorter.h"

#include <algorithm>
#include <utility>

#include "base/words.h"
#include "container/name.h"
#include "klog/plain_line.h"

namespace vprocfs {
namespace {

using Is = LogShape::Is;

// The lines of one event come within a millisecond, or within this time on slow consoles.
constexpr uint64_t kOomWaitUs = 300'000, kCodeWaitUs = 20'000;
/// For so long the lines in between may keep a kill waiting for its next line.
constexpr uint64_t kDumpUs = 5'000'000;
constexpr uint64_t kGroupKillUs = 5'000'000;
// The kernel prints no block with more lines than this.
constexpr size_t kMaxLines = 20000;
// The table of processes may be as long, and each row takes looks at /proc for its PIDs. A log has
// no room for more rows than these.
constexpr size_t kMaxRows = 512;
constexpr size_t kMaxGroups = 4096;

/// Whether it is a row of the table of processes.
bool is_row(const LogLine& line) {
  const auto is_pid = [](const LinePiece& piece) { return piece.kind == LinePiece::Kind::kPid; };
  return line.of_limit && std::any_of(line.pieces.begin(), line.pieces.end(), is_pid);
}

/// The thread that printed a record; 0: that is not known.
pid_t printer_of(const LogRecord& record) {
  if (record.caller_task != 0 || !record.printer) return record.caller_task;
  return record.printer->task;
}

}  // namespace

const char* to_text(LogKind kind) {
  constexpr const char* kNames[kLogKinds] = {"oom", "forks", "fault", "seccomp", "hung", "caller"};
  const auto i = static_cast<size_t>(kind);
  return i < kLogKinds ? kNames[i] : "?";
}

bool LogGroup::shows_limit(const std::string& memory_cgroup) const {
  return !limit_path.empty() && !memory_cgroup.empty() &&
         is_below(limit_path, limited_cgroup(memory_cgroup));
}

void LogSorter::take(const LogRecord& record, uint64_t now_us) {
  LogShape shape = shape_of(record);
  // Lost records may have been the end of one event and the beginning of another.
  const bool is_first = last_sequence_ == 0;
  if (!is_first && record.sequence > last_sequence_ + 1) note_loss(record);
  last_sequence_ = std::max(last_sequence_, record.sequence);
  after_us_ = record.after_us;
  // Where printers are unknown, code belongs to a fault only if it is the next record.
  if (shape.is != Is::kCode && record.caller_task == 0) close_faults(Faults::kOfUnknown);
  switch (shape.is) {
    case Is::kNothing:
      take_plain(record, now_us);
      break;
    case Is::kFault:
      take_fault(shape, record, now_us);
      break;
    case Is::kCode:
      take_code(shape, printer_of(record));
      break;
    case Is::kSeccomp: {
      LogGroup& group = begin_group(LogKind::kSeccomp, shape, now_us)->group;
      group.pid = shape.pid;
      group.kills = shape.kills;
      break;
    }
    case Is::kHung:
      begin_group(LogKind::kHung, shape, now_us)->group.pid = shape.pid;
      break;
    case Is::kForkRejected: {
      std::string path = shape.path;
      begin_group(LogKind::kForks, shape, now_us)->group.pids_path = std::move(path);
      break;
    }
    default:
      take_oom(shape, record, now_us);
  }
  // So many groups must not wait for one that is not whole.
  if (groups_.size() > kMaxGroups) {
    close_block();
    close_faults(Faults::kAll);
  }
}

void LogSorter::note_loss(const LogRecord& record) {
  dumps_.note_loss(record.time_us);
  close_block();
  close_faults(Faults::kAll);
  group_path_.clear();
  pending_codes_ = 0;
  victims_.clear();
}

/// A record that only its printer proves to be a container's.
void LogSorter::take_plain(const LogRecord& record, uint64_t now_us) {
  const pid_t task = printer_of(record);
  if (task == 0 || record.facility != 0) return;
  if (block_ != groups_.end() && (block_->caller == 0 || block_->caller == task)) {
    // The state of the node's memory, whose lines come slowly on slow consoles. They go on to be
    // nobody's where the block ends before they do.
    if (block_->caller == task) {
      dumps_.note(task, record.time_us);
      if (now_us - block_->added_us < kDumpUs) block_->touched_us = now_us;
    } else {
      // Most of those who print meanwhile have nothing to do with the kill.
      dumps_.take(task, record.text, record.time_us);
    }
    return;
  }
  if (dumps_.take(task, record.text, record.time_us)) return;
  LogShape shape;
  auto line = plain_line(record, task);
  if (!line) return;
  shape.line = std::move(*line);
  LogGroup& group = begin_group(LogKind::kCaller, shape, now_us)->group;
  group.pid = task;
  if (record.printer && record.printer->task == task) group.printer = record.printer;
}

LogSorter::Groups::iterator LogSorter::begin_group(LogKind kind, LogShape& shape, uint64_t now_us) {
  Pending& pending = groups_.emplace_back();
  pending.group.kind = kind;
  pending.group.after_us = after_us_;
  pending.group.lines.push_back(std::move(shape.line));
  pending.touched_us = pending.added_us = now_us;
  return std::prev(groups_.end());
}

void LogSorter::add(Groups::iterator to, LogShape& shape, uint64_t now_us) {
  to->touched_us = to->added_us = now_us;
  const bool row = is_row(shape.line);
  // The last lines come after the table, and are few.
  const size_t most = shape.line.of_limit ? kMaxLines : kMaxLines + kMaxRows;
  if (to->group.lines.size() >= most || (row && to->rows >= kMaxRows)) return;
  if (row) ++to->rows;
  to->group.lines.push_back(std::move(shape.line));
}

void LogSorter::take_oom(LogShape& shape, const LogRecord& record, uint64_t now_us) {
  const pid_t caller = printer_of(record);
  // Whatever the task prints up to the last line may be about the node's memory.
  if (shape.is == Is::kOomKilled || shape.is == Is::kOomUnkilled) {
    dumps_.end(caller);
  } else if (shape.is != Is::kOomReaped && shape.is != Is::kOomGroup) {
    dumps_.note(caller, record.time_us);
  }
  if (shape.is == Is::kOomBegin) {
    close_block();
    group_path_.clear();
    block_ = begin_group(LogKind::kOom, shape, now_us);
    block_->caller = caller;
    block_->open = true;
    return;
  }
  if (shape.is == Is::kOomReaped) return take_reaped(shape, now_us);
  if (shape.is == Is::kOomGroup) {
    close_block();
    group_path_ = shape.kill.cgroup;
    group_since_us_ = now_us;
    group_printer_ = printer_of(record);
    begin_group(LogKind::kOom, shape, now_us)->group.memory_path = group_path_;
    return;
  }
  if (shape.is == Is::kOomKilled) return take_killed(shape, record, now_us);
  // A stray line: its beginning was overwritten, or another thread's line looks like one of these.
  const bool summary = shape.is == Is::kOomSummary;
  const bool stray =
      block_ == groups_.end() || (caller != 0 && block_->caller != 0 && caller != block_->caller);
  if (stray && !summary) return;
  if (shape.is == Is::kOomUnkilled) return close_block();
  if (stray) {
    close_block();
    block_ = begin_group(LogKind::kOom, shape, now_us);
    block_->caller = caller;
    block_->open = true;
  } else {
    add(block_, shape, now_us);
  }
  LogGroup& group = block_->group;
  if (summary) {
    shape.kill.sequence = group.lines.back().sequence;
    group.memory_path = shape.kill.cgroup;
    group.limit_path = shape.kill.limit_cgroup;
    group.kill = shape.kill;
    group.pid = shape.pid;
    block_->summarised_by = record.printer ? record.printer->task : 0;
  } else if (shape.is == Is::kOomPlace && group.limit_path.empty()) {
    group.limit_path = shape.kill.limit_cgroup;
  }
}

/// Whether a line with another PID is about the block's kill. If the first thread of the chosen
/// process has ended, the kernel kills and names another of its threads. The next line that the
/// same task prints after the summary is about the same kill: every kernel that tells printers
/// (5.19) prints one, even if nothing is killed in the end (since 5.9).
bool LogSorter::is_thread_of_block(const LogRecord& record) const {
  if (block_->summarised_by == 0 || !record.printer) return false;
  return record.printer->task == block_->summarised_by && block_->group.kill &&
         record.sequence == block_->group.kill->sequence + 1;
}

void LogSorter::take_killed(LogShape& shape, const LogRecord& record, uint64_t now_us) {
  const pid_t pid = shape.pid, printer = printer_of(record);
  // The kernel prints this line for each kill, but the lines before it for at most ten kills in
  // five seconds. So this may be about another kill than those.
  const bool is_block = block_ != groups_.end();
  if (is_block && (block_->group.pid == pid || is_thread_of_block(record))) {
    add(block_, shape, now_us);
    // The reaper's line names this thread, too.
    if (pid != block_->group.pid) victims_.note(pid, block_->group.memory_path);
    return close_block();
  }
  close_block();
  // One task kills all tasks of a cgroup, so it prints all of these lines.
  const bool kills_group = !group_path_.empty() && now_us - group_since_us_ < kGroupKillUs;
  const bool knows_printers = printer != 0 && group_printer_ != 0;
  const bool of_group = kills_group && knows_printers && printer == group_printer_;
  LogGroup& group = begin_group(LogKind::kOom, shape, now_us)->group;
  group.pid = pid;
  if (of_group) group.memory_path = group_path_;
  // The process that was chosen first, whose cgroup is known, is killed once more with all others.
  if (kills_group && !knows_printers && victims_.is_named_again(pid, group_path_)) return;
  victims_.note(pid, group.memory_path);
}

void LogSorter::take_reaped(LogShape& shape, uint64_t now_us) {
  LogGroup& group = begin_group(LogKind::kOom, shape, now_us)->group;
  group.pid = shape.pid;
  group.memory_path = victims_.path_of(group.pid);
}

void LogSorter::close_block() {
  if (block_ == groups_.end()) return;
  LogGroup& group = block_->group;
  // No task could be killed, or the summary was lost.
  if (group.memory_path.empty()) group.memory_path = group.limit_path;
  victims_.note(group.pid, group.memory_path);
  block_->open = false;
  if (group.memory_path.empty() && group.pid == 0) groups_.erase(block_);
  block_ = groups_.end();
}

void LogSorter::take_fault(LogShape& shape, const LogRecord& record, uint64_t now_us) {
  const pid_t pid = shape.pid;
  const bool has_code = shape.has_code;
  const auto fault = begin_group(LogKind::kFault, shape, now_us);
  fault->group.pid = pid;
  fault->group.printer = record.printer;
  fault->caller = printer_of(record);
  if (!has_code) return;
  ++pending_codes_;
  codes_pending_since_us_ = now_us;
  // If two faults lack their code, only its printer tells whose the next one is.
  fault->alone = pending_codes_ == 1;
  fault->open = fault->alone || fault->caller != 0;
}

void LogSorter::take_code(LogShape& shape, pid_t caller) {
  if (pending_codes_ > 0) --pending_codes_;
  const uint64_t sequence = shape.line.sequence;
  for (auto it = groups_.begin(); it != groups_.end(); ++it) {
    if (!it->open || it == block_) continue;
    const bool next = it->group.lines.back().sequence + 1 == sequence;
    if (caller != 0 ? it->caller != caller : !it->alone || !next) continue;
    if (!shape.line.pieces.empty()) it->group.lines.push_back(std::move(shape.line));
    it->open = false;
    return;
  }
}

std::vector<pid_t> LogSorter::without_code() const {
  std::vector<pid_t> out;
  for (auto it = groups_.begin(); it != groups_.end(); ++it) {
    if (it->open && Groups::const_iterator(block_) != it && it->caller != 0) {
      out.push_back(it->caller);
    }
  }
  return out;
}

void LogSorter::close_faults(Faults which) {
  for (auto it = groups_.begin(); it != groups_.end(); ++it) {
    if (it != block_ && (which == Faults::kAll || it->caller == 0)) it->open = false;
  }
}

void LogSorter::idle(uint64_t now_us) {
  if (block_ != groups_.end() && now_us - block_->touched_us >= kOomWaitUs) close_block();
  for (auto it = groups_.begin(); it != groups_.end(); ++it) {
    if (it != block_ && now_us - it->touched_us >= kCodeWaitUs) it->open = false;
  }
  if (pending_codes_ > 0 && now_us - codes_pending_since_us_ >= kGroupKillUs) pending_codes_ = 0;
}

uint64_t LogSorter::due_us() const {
  uint64_t due = 0;
  for (auto it = groups_.begin(); it != groups_.end(); ++it) {
    if (!it->open) continue;
    const uint64_t at =
        it->touched_us + (Groups::const_iterator(block_) == it ? kOomWaitUs : kCodeWaitUs);
    due = due == 0 ? at : std::min(due, at);
  }
  return due;
}

std::optional<LogGroup> LogSorter::next() {
  if (groups_.empty() || groups_.front().open) return std::nullopt;
  LogGroup out = std::move(groups_.front().group);
  groups_.pop_front();
  return out;
}

uint64_t LogSorter::first_waiting() const {
  return groups_.empty() ? 0 : groups_.front().group.first();
}

}  // namespace vprocfs
