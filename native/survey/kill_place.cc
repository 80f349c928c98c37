#include "survey/kill_place.h"

#include "base/wide.h"
#include "base/words.h"

namespace vprocfs {
namespace {

KillPlace place_by_path(const std::string& cgroup, const std::string& own) {
  if (cgroup == own) return KillPlace::kOwn;
  // All cgroups are below the root, so a container in the root owns only kills in the root itself.
  const bool is_inside = own.size() > 1 && is_below(cgroup, own);
  return is_inside ? KillPlace::kBelow : KillPlace::kElsewhere;
}

bool was_before(const OomKill& kill, uint64_t oldest_us, const HadKill& had_kill) {
  if (kill.at_us + kill.slack_us < oldest_us) return true;
  if (saturating_sub(kill.at_us, kill.slack_us) >= oldest_us) return false;
  // If nothing tells, the log's clock counts as right.
  return !had_kill(kill.cgroup).value_or(kill.at_us >= oldest_us);
}

}  // namespace

KillPlace place_of(const OomKill& kill, const std::string& own, uint64_t oldest_us,
                   const HadKill& had_kill) {
  const KillPlace place = place_by_path(kill.cgroup, own);
  const bool is_elsewhere = place == KillPlace::kElsewhere || was_before(kill, oldest_us, had_kill);
  return is_elsewhere ? KillPlace::kElsewhere : place;
}

}  // namespace vprocfs
