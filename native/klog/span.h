#pragma once

#include <cstdint>

namespace vprocfs {

/// Which records of a log were taken or cleared for somebody who may not have them yet. It lies in
/// memory that outlives a worker, and the next one gives the same again.
struct LogSpan {
  enum Kind : uint32_t { kNone, kTaken, kCleared };
  uint32_t kind = kNone;
  uint32_t from_bytes = 0, to_bytes = 0;  ///< of these records' text, before the span and in it
  uint64_t from = 0, to = 0;              ///< sequence numbers
};

}  // namespace vprocfs
