#pragma once

#include <cstdint>

namespace vprocfs {

/// A position in a log that is read as a text: before that byte of that record's syslog_text().
struct LogPosition {
  uint64_t sequence = 0;
  uint16_t bytes = 0;

  friend bool operator==(LogPosition a, LogPosition b) {
    return a.sequence == b.sequence && a.bytes == b.bytes;
  }
  friend bool operator<(LogPosition a, LogPosition b) {
    return a.sequence != b.sequence ? a.sequence < b.sequence : a.bytes < b.bytes;
  }
};

/// The part of a log that was taken or cleared for a reader who may not have it yet. Lies in memory
/// that outlives a worker, so that the next one gives the reader the same text.
class LogSpan {
 public:
  enum Kind : uint32_t { kNone, kTaken, kCleared };

  Kind kind() const { return static_cast<Kind>(kind_); }
  LogPosition from() const { return {from_, static_cast<uint16_t>(from_bytes_)}; }
  LogPosition to() const { return {to_, static_cast<uint16_t>(to_bytes_)}; }

  void set(Kind kind, LogPosition from, LogPosition to) {
    from_ = from.sequence;
    from_bytes_ = from.bytes;
    to_ = to.sequence;
    to_bytes_ = to.bytes;
    // Stored last, so that a span is whole or kNone.
    __atomic_store_n(&kind_, kind, __ATOMIC_RELEASE);
  }

 private:
  uint32_t kind_ = kNone;
  uint32_t from_bytes_ = 0, to_bytes_ = 0;
  uint64_t from_ = 0, to_ = 0;
};

}  // namespace vprocfs
