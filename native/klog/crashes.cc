#include "klog/crashes.h"

#include <algorithm>
#include <utility>

#include "base/clock_tick.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxCrashes = 512;
/// The record of a crash is read within this time.
constexpr uint64_t kRetainUs = 5'000'000;

/// Who had the number at that time and was killed.
std::optional<KnownProcess> holder_at(uint64_t at_us, const PidHolders& holders) {
  const auto& [living, ended] = holders;
  const bool one = may_be_same(holders);
  if (ended && ended->is_killed && ended->start_us <= at_us && at_us <= ended->end_us) {
    return one && living->is_killed ? merged(holders) : *ended;
  }
  // What has ended tells when it began to the nanosecond.
  const bool later = one && ended->start_us > at_us;
  if (!living || !living->is_killed || living->start_us > at_us || later) return std::nullopt;
  return *living;
}

}  // namespace

void Crashes::add(pid_t pid, uint64_t at_us, const PidHolders& holders) {
  auto process = holder_at(at_us, holders);
  const bool is_exact = process && process->end_us != 0;
  const bool is_sure = is_exact || (process && process->start_us + kClockTickUs <= at_us);
  if (process) process->end_us = at_us;
  crashes_.insert({pid, {at_us, std::move(process), is_sure}});
  order_.push_back(pid);
  if (order_.size() > kMaxCrashes) {
    // Of those with one number the oldest comes first.
    crashes_.erase(crashes_.lower_bound(order_.front()));
    order_.pop_front();
  }
}

bool Crashes::has_report(pid_t pid, uint64_t now_us) const {
  const auto [begin, end] = crashes_.equal_range(pid);
  return std::any_of(
      begin, end, [now_us](const auto& entry) { return now_us - entry.second.at_us < kRetainUs; });
}

bool Crashes::is_uncertain(pid_t pid, const PidHolders& holders, uint64_t now_us) const {
  const auto [begin, end] = crashes_.equal_range(pid);
  for (auto it = begin; it != end; ++it) {
    const Crash& crash = it->second;
    if (crash.is_sure || now_us - crash.at_us >= kRetainUs) continue;
    const auto& ended = holders.ended;
    if (!ended ||
        (crash.process ? ended->start_us < crash.process->start_us : ended->end_us < crash.at_us)) {
      return true;
    }
  }
  return false;
}

std::optional<KnownProcess> Crashes::find(pid_t pid, const LogMoment& moment,
                                          const PidHolders& holders, uint64_t now_us) const {
  const uint64_t latest_us = moment.at_us - std::min(moment.at_us, moment.slack_us);
  const auto& [living, ended] = holders;
  std::optional<KnownProcess> found;
  const auto [begin, end] = crashes_.equal_range(pid);
  for (auto it = begin; it != end; ++it) {
    const Crash& crash = it->second;
    if (now_us - crash.at_us >= kRetainUs) continue;
    // What was not found then may be found now.
    auto process = crash.process ? crash.process : holder_at(crash.at_us, holders);
    // Nobody knows who it was, and it may be meant.
    if (!process) return std::nullopt;
    const uint64_t start_us = process->start_us;
    if (start_us > latest_us) continue;
    // By now it may be known better when it began; or it began within a tick, perhaps afterwards.
    const bool is_sure = crash.is_sure || (ended && ended->start_us <= crash.at_us &&
                                           ended->start_us - start_us < kClockTickUs);
    // Of two that crashed with that number either may be meant.
    if (!is_sure || found) return std::nullopt;
    found = std::move(process);
  }
  if (found) return found;
  // The kernel has not told of it, and the record's own time is not known that well.
  const bool lives = living && living->is_killed && living->start_us + kYoungUs <= latest_us;
  const bool lived = ended && ended->is_killed && ended->start_us + kYoungUs <= latest_us &&
                     ended->end_us + kRetainUs > moment.at_us;
  if (lives && lived && !may_be_same(holders)) return std::nullopt;
  if (lives && lived) return merged(holders);
  if (lived) return ended;
  return lives ? living : std::nullopt;
}

}  // namespace vprocfs
