#include "fuse/counters.h"

namespace vprocfs {

void CounterSums::add(const Counters& counters) {
  for (size_t i = 0; i < requests.size(); ++i) requests[i] += counters.requests[i];
  renders += counters.renders;
  shared += counters.shared;
  errors += counters.errors;
  source_errors += counters.source_errors;
  refused_opens += counters.refused_opens;
  deferred += counters.deferred;
  paced += counters.paced;
  resent += counters.resent;
}

}  // namespace vprocfs
