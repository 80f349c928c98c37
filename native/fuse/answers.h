#pragma once

#include <atomic>
#include <cstdint>

#include "fuse/answer.h"
#include "fuse/counters.h"
#include "fuse/measures.h"
#include "fuse/notifier.h"
#include "fuse/protocol.h"
#include "fuse/reply.h"
#include "fuse/unsettled.h"

namespace vprocfs {

/// Where a connection's requests are answered, and counted. Thread-safe.
class Answers {
 public:
  /// `notifier`: who gives answers that a notice has to precede.
  Answers(const Reply& r, Notifier& notifier) : reply(r), notifier_(notifier) {}

  /// Sends the kernel a handler's answer and counts it. This is the only place that does either.
  /// False if the caller is gone; then the answer's undo action has been run.
  bool give(const RequestInfo& info, const Answer& answer);
  /// What a notice has to precede is left to the next worker, which is asked again, once no more
  /// notices are sent. Else it is given without.
  void leave_unsettled() { leaves_.store(true, std::memory_order_relaxed); }
  /// Ends the wait of a request that somebody else answers and counts: the kernel takes the first
  /// answer.
  void end(uint64_t unique, int errno_value) const { reply.error(unique, errno_value); }

  /// For notices.
  const Reply& reply;
  Counters counters;
  Measures measures;
  /// Who waits for answers that were given, but wait for their notices.
  Unsettled unsettled;

 private:
  bool write(const RequestInfo& info, const Answer& answer);
  void give_without_notice(const RequestInfo& info, const Answer& answer);
  void count(const RequestInfo& info, const Answer& answer);

  Notifier& notifier_;
  std::atomic<bool> leaves_{false};
};

}  // namespace vprocfs
