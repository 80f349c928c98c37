#include "klog/known_process.h"

#include "base/clock_tick.h"

namespace vprocfs {

bool may_be_same(const PidHolders& holders) {
  const auto& [living, ended] = holders;
  return living && ended && ended->start_us >= living->start_us &&
         ended->start_us - living->start_us < kClockTickUs;
}

KnownProcess merged(const PidHolders& holders) {
  KnownProcess out = *holders.ended;
  // The kernel's list of ended processes has only the outermost of many nested namespaces.
  if (holders.living->numbers.size() > out.numbers.size()) {
    out.numbers = holders.living->numbers;
    out.namespaces = holders.living->namespaces;
  }
  out.cgroups = holders.living->cgroups;
  return out;
}

}  // namespace vprocfs
