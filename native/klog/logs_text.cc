// Logs as syslog(2) and /proc/kmsg return them: as a text whose bytes are taken once.

#include <algorithm>

#include "klog/logs.h"
#include "klog/syslog_text.h"

namespace vprocfs {
namespace {

constexpr LogPosition kEnd{UINT64_MAX, 0};

/// Up to `max_bytes` bytes of the records from `at` to `end`, and moves `at` behind them. Whole
/// records only, or the beginning of the first one if that is longer.
std::string text_from(const LogRing& ring, LogPosition& at, LogPosition end, size_t max_bytes) {
  std::string out;
  ring.for_each(at.sequence, [&](const OwnRecord& record) {
    if (record.sequence > end.sequence || (record.sequence == end.sequence && end.bytes == 0)) {
      return false;
    }
    // The record at this position was overwritten.
    if (record.sequence != at.sequence) at = {record.sequence, 0};
    std::string text = syslog_text(record.time_us, record.priority, record.text);
    if (record.sequence == end.sequence) text.resize(std::min<size_t>(text.size(), end.bytes));
    text.erase(0, at.bytes);
    const bool fits = text.size() <= max_bytes - out.size();
    if (!fits && !out.empty()) return false;
    if (fits && record.sequence != end.sequence) {
      at = {record.sequence + 1, 0};
    } else {
      text.resize(std::min(text.size(), max_bytes));
      at.bytes = static_cast<uint16_t>(at.bytes + text.size());
    }
    out += text;
    return fits;
  });
  return out;
}

/// The first record from `sequence` on that fits into `max_bytes` bytes with all that follow it.
LogPosition first_that_fits(const LogRing& ring, uint64_t sequence, size_t max_bytes) {
  size_t bytes = 0;
  ring.for_each(sequence, [&bytes](const OwnRecord& record) {
    bytes += syslog_text_bytes(record.time_us, record.priority, record.text);
    return true;
  });
  ring.for_each(sequence, [&](const OwnRecord& record) {
    sequence = record.sequence;
    if (bytes <= max_bytes) return false;
    bytes -= syslog_text_bytes(record.time_us, record.priority, record.text);
    ++sequence;
    return true;
  });
  return {sequence, 0};
}

}  // namespace

KernelLogs::Unread KernelLogs::unread(ContainerId id) const {
  return with_ring(id, [](const LogRing& ring) {
    Unread out;
    const LogPosition taken = ring.marks().taken;
    ring.for_each(taken.sequence, [&](const OwnRecord& record) {
      const size_t bytes = syslog_text_bytes(record.time_us, record.priority, record.text);
      const bool in_part = record.sequence == taken.sequence;
      out.bytes += bytes - std::min<size_t>(in_part ? taken.bytes : 0, bytes);
      ++out.records;
      return true;
    });
    return out;
  });
}

std::string KernelLogs::take(ContainerId id, size_t max_bytes, const Taken& taken) {
  return with_ring(id, [&](LogRing& ring) {
    LogMarks marks = ring.marks();
    const LogPosition from = marks.taken;
    std::string out = text_from(ring, marks.taken, kEnd, max_bytes);
    if (out.empty()) return out;
    if (taken) taken(from, marks.taken);
    ring.set_marks(marks);
    return out;
  });
}

std::string KernelLogs::again(ContainerId id, LogPosition from, LogPosition to) {
  return with_ring(id, [&](LogRing& ring) {
    LogMarks marks = ring.marks();
    if (marks.taken < to) {
      marks.taken = to;
      ring.set_marks(marks);
    }
    return text_from(ring, from, to, std::string::npos);
  });
}

void KernelLogs::give_back(ContainerId id, LogPosition from, LogPosition to) {
  bool given = false;
  change_marks(id, [&](LogMarks& marks, uint64_t) {
    given = marks.taken == to;
    if (given) marks.taken = from;
  });
  // Other readers may wait for it.
  if (given) notify_listeners(id);
}

bool KernelLogs::has_unread(ContainerId id) const {
  return with_ring(id, [](const LogRing& ring) {
    return std::max(ring.marks().taken.sequence, ring.first_sequence()) < ring.next_sequence();
  });
}

size_t KernelLogs::used_bytes(ContainerId id) const {
  return with_ring(id, [](const LogRing& ring) { return ring.used_bytes(); });
}

std::string KernelLogs::last(ContainerId id, size_t max_bytes) const {
  return with_ring(id, [&](const LogRing& ring) {
    LogPosition at = first_that_fits(ring, ring.marks().cleared, max_bytes);
    return text_from(ring, at, kEnd, max_bytes);
  });
}

std::string KernelLogs::last_and_clear(ContainerId id, size_t max_bytes, const Taken& cleared) {
  return with_ring(id, [&](LogRing& ring) {
    LogMarks marks = ring.marks();
    const LogPosition from = first_that_fits(ring, marks.cleared, max_bytes);
    LogPosition to = from;
    std::string out = text_from(ring, to, kEnd, max_bytes);
    cleared(from, to);
    marks.cleared = to.sequence;
    ring.set_marks(marks);
    return out;
  });
}

std::string KernelLogs::last_again(ContainerId id, LogPosition from, LogPosition to) {
  return with_ring(id, [&](LogRing& ring) {
    LogMarks marks = ring.marks();
    marks.cleared = std::max(marks.cleared, to.sequence);
    ring.set_marks(marks);
    return text_from(ring, from, to, std::string::npos);
  });
}

}  // namespace vprocfs
