#include "klog/known_process.h"

#include "base/clock_tick.h"

namespace vprocfs {
namespace {

/// A line that is proven to be a container's may name a process of it that has ended so long ago.
constexpr uint64_t kNamedWithinUs = 5'000'000;

}  // namespace

/// PIDs may be reused at once, and the time of a record is not known exactly. A process that was
/// much older than the record is meant. One that was younger may not be: the record may be about
/// its predecessor. A record from before we started is about a living process only if that is much
/// older.
std::optional<KnownProcess> who_had(const PidHolders& holders, const LogMoment& moment,
                                    Young young) {
  const bool live = moment.slack_us == 0;
  const auto& [now, former] = holders;
  const uint64_t begun_us = now ? now->start_us : UINT64_MAX;
  const uint64_t least_us = live ? kYoungUs : moment.slack_us;
  if (begun_us <= moment.at_us && moment.at_us - begun_us >= least_us) return now;
  const uint64_t live_us = young == Young::kMaybe ? kNamedWithinUs : kEndedUs;
  const uint64_t within_us = live ? live_us : moment.slack_us;
  const bool was_there = former && former->start_us <= moment.at_us + moment.slack_us &&
                         former->end_us + within_us > moment.at_us &&
                         former->end_us >= moment.least_us;
  const bool may_be_now = live && young == Young::kMaybe && begun_us <= moment.at_us;
  if (!was_there) return may_be_now ? now : std::nullopt;
  if (may_be_same(holders)) return merged(holders);
  // Two processes had the PID at about that time: either may be meant.
  const bool is_one_of_two = begun_us <= moment.at_us + moment.slack_us;
  return is_one_of_two && young == Young::kNever ? std::nullopt : former;
}

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
