#pragma once

#include <cstdint>

#include "fuse/answer.h"
#include "fuse/counters.h"
#include "fuse/measures.h"
#include "fuse/notifier.h"
#include "fuse/protocol.h"
#include "fuse/reply.h"

namespace vprocfs {

/// Where a connection's requests are answered, and counted. Thread-safe.
class Answers {
 public:
  /// `notifier`: who gives answers that a notice has to precede.
  Answers(const Reply& r, Notifier& notifier) : reply(r), notifier_(notifier) {}

  /// Gives the kernel what a handler made of a request, and counts that: the only place where
  /// either is done. False when the caller is gone, and what it was to have has been undone.
  bool give(const Asked& asked, const Answer& answer);
  /// Ends the wait of a request that somebody else answers and counts: the kernel takes the first
  /// answer.
  void end(uint64_t unique, int errno_value) const { reply.error(unique, errno_value); }

  /// For notices.
  const Reply& reply;
  Counters counters;
  Measures measures;

 private:
  bool write(const Asked& asked, const Answer& answer);
  void count(const Asked& asked, const Answer& answer);

  Notifier& notifier_;
};

}  // namespace vprocfs
