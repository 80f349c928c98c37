#include "survey/kill_place.h"

#include "base/wide.h"
#include "base/words.h"

namespace vprocfs {
namespace {

// The log's clock differs from CLOCK_BOOTTIME.
constexpr uint64_t kSlackUs = 1'000'000;

}  // namespace

KillPlace place_of(const OomKill& kill, const std::string& own, uint64_t oldest_us) {
  if (kill.at_us < saturating_sub(oldest_us, kSlackUs)) return KillPlace::kElsewhere;
  if (kill.cgroup == own) return KillPlace::kOwn;
  // All cgroups are below the root, so a container in the root owns only kills in the root itself.
  const bool is_inside = own.size() > 1 && is_below(kill.cgroup, own);
  return is_inside ? KillPlace::kBelow : KillPlace::kElsewhere;
}

}  // namespace vprocfs
