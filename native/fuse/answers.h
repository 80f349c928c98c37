#pragma once

#include "base/result.h"
#include "fuse/counters.h"
#include "fuse/measures.h"
#include "fuse/protocol.h"
#include "fuse/reply.h"

namespace vprocfs {

/// Where a connection's requests are answered, and counted. Thread-safe.
class Answers {
 public:
  explicit Answers(const Reply& r) : reply(r) {}

  /// Refuses a request, and counts that.
  void fail(const Request& r, int errno_value);
  /// With what the kernel says of an error in a file of its own.
  void fail(const Request& r, const Error& error);
  /// A name that leads to a container which was not found.
  void fail_lookup(const Request& r, const Error& error);
  /// Counts a request that was answered; one that waits is counted when its turn has come.
  void measure(const Request& r);

  const Reply& reply;
  Counters counters;
  Measures measures;
};

}  // namespace vprocfs
