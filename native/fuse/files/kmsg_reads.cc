// Reads of kernel logs, and those that wait for a record.

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fuse/files/kmsg_files.h"
#include "klog/kmsg_text.h"

namespace vprocfs {
namespace {

/// Readers of one tenant that may wait for records.
constexpr size_t kMaxParkedPerTenant = 256;
/// More than this of /proc/kmsg is not given at once.
constexpr size_t kMaxTakenBytes = size_t{64} << 10;

LogPosition position_of(const KmsgCursor& cursor) {
  return {cursor.next, static_cast<uint16_t>(cursor.offset)};
}

KmsgCursor cursor_of(LogPosition at) { return {at.sequence, at.bytes}; }

}  // namespace

bool KmsgFiles::answer_locked(KmsgFile& file, const Read& read) {
  return is_stream(file.view) ? answer_stream_locked(file, read) : answer_record_locked(file, read);
}

bool KmsgFiles::answer_record_locked(KmsgFile& file, const Read& read) {
  KmsgState to = file.now();
  if (to.request == read.identity()) to.cursor = to.before;
  const KmsgCursor before = to.cursor;
  KernelLogs::Page page;
  const uint64_t from = to.cursor.rewinds(read.offset) ? 0 : to.cursor.next;
  logs_.read(file.container->id(), from, 1, page);
  const auto outcome = to.cursor.read_at(read.offset, page.first, page.next);
  if (outcome == KmsgCursor::ReadOutcome::kNothing) return false;
  std::string text;
  if (outcome == KmsgCursor::ReadOutcome::kRecord) {
    const auto& record = page.records.front();
    text = kmsg_text(record.sequence, record.time_us, record.priority, record.text);
    to.cursor.advance(read.offset, text.size() <= read.size ? text.size() : 0);
    Log& log = by_log_[file.node.container()];
    log.furthest = std::max(log.furthest, to.cursor.offset);
  }
  to.request = read.identity();
  to.before = before;
  // First: who dies in between is asked again, and begins again.
  file.change(to);
  // The reader is gone: others that have the file open find what it has not had.
  const auto undo = [&file, to, before]() mutable {
    to.cursor = before;
    file.change(to);
  };
  const bool lost = outcome == KmsgCursor::ReadOutcome::kLoss;
  // One that is too long for the reader is passed over, as the kernel does.
  const bool too_long = text.size() > read.size;
  Answer answer = lost       ? Answer::tell(EPIPE)
                  : too_long ? Answer::tell(EINVAL)
                             : Answer::text(std::move(text));
  parts_.answers.give(read.info, std::move(answer).or_undo(undo));
  return true;
}

bool KmsgFiles::answer_stream_locked(KmsgFile& file, const Read& read) {
  const ContainerId id = file.container->id();
  const size_t max_bytes = std::min(read.size, kMaxTakenBytes);
  KmsgState to = file.now();
  std::string text;
  if (to.request == read.identity()) {
    text = logs_.again(id, position_of(to.before), position_of(to.after));
  }
  // What it was to have may be overwritten by now.
  if (text.empty()) {
    text = logs_.take(id, max_bytes, [&](LogPosition begin, LogPosition end) {
      to.request = read.identity();
      to.before = cursor_of(begin);
      to.after = cursor_of(end);
      // First: who dies in between is asked again, and gives the same.
      file.change(to);
    });
  }
  if (text.empty()) return false;
  Answer answer = Answer::text(std::move(text));
  const auto undo = [this, id, to] {
    logs_.give_back(id, position_of(to.before), position_of(to.after));
  };
  parts_.answers.give(read.info, std::move(answer).or_undo(undo));
  return true;
}

bool KmsgFiles::may_park_locked(const KmsgFile& file) const {
  return file.container->tenant().parked_reads < kMaxParkedPerTenant;
}

void KmsgFiles::park_locked(const Read& read, const FilePtr& file) {
  const uint64_t unique = read.info.header.unique;
  if (!parked_.try_emplace(unique, Parked{read, file}).second) return;
  by_log_[file->node.container()].parked.insert(unique);
  ++file->container->tenant().parked_reads;
}

void KmsgFiles::unpark_locked(std::unordered_map<uint64_t, Parked>::iterator it) {
  --it->second.file->container->tenant().parked_reads;
  parked_.erase(it);
}

bool KmsgFiles::interrupt(uint64_t unique) {
  const std::lock_guard lock(mutex_);
  auto it = parked_.find(unique);
  // The kernel names a request that was resent by its number without the mark of that.
  if (it == parked_.end()) it = parked_.find(unique | kFuseUniqueResend);
  if (it == parked_.end()) return false;
  const uint64_t parked = it->first;
  const auto log = by_log_.find(it->second.file->node.container());
  if (log != by_log_.end()) log->second.parked.erase(parked);
  RequestInfo info = it->second.read.info;
  info.taken_ns = clock_ns(CLOCK_MONOTONIC);
  unpark_locked(it);
  parts_.answers.give(info, Answer::tell(EINTR));
  return true;
}

}  // namespace vprocfs
