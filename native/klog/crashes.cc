#include "klog/crashes.h"

#include <algorithm>
#include <utility>

namespace vprocfs {
namespace {

constexpr size_t kMost = 512;
/// The record of a crash is read within this time.
constexpr uint64_t kKeptUs = 5'000'000;

/// Who had the number at that time and was killed.
std::optional<KnownProcess> holder_at(uint64_t at_us, const PidHolders& holders) {
  const auto& [living, ended] = holders;
  const bool one = may_be_one(holders);
  if (ended && ended->is_killed && ended->start_us <= at_us && at_us <= ended->end_us) {
    return one && living->is_killed ? as_one(holders) : *ended;
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
  const bool is_sure = is_exact || (process && process->start_us + kTickUs <= at_us);
  if (process) process->end_us = at_us;
  crashes_.push_back({pid, at_us, std::move(process), is_sure});
  if (crashes_.size() > kMost) crashes_.pop_front();
}

bool Crashes::knows(pid_t pid, uint64_t now_us) const {
  for (const Crash& crash : crashes_) {
    if (crash.pid == pid && now_us - crash.at_us < kKeptUs) return true;
  }
  return false;
}

bool Crashes::is_unsure(pid_t pid, const PidHolders& holders, uint64_t now_us) const {
  for (const Crash& crash : crashes_) {
    if (crash.pid != pid || now_us - crash.at_us >= kKeptUs || !crash.process) continue;
    const auto& ended = holders.ended;
    const bool known = ended && ended->start_us >= crash.process->start_us;
    if (!crash.is_sure && !known) return true;
  }
  return false;
}

std::optional<KnownProcess> Crashes::who(pid_t pid, const LogMoment& moment,
                                         const PidHolders& holders, uint64_t now_us) const {
  const uint64_t latest_us = moment.at_us - std::min(moment.at_us, moment.slack_us);
  const auto& [living, ended] = holders;
  const KnownProcess* found = nullptr;
  for (const Crash& crash : crashes_) {
    if (crash.pid != pid || now_us - crash.at_us >= kKeptUs) continue;
    // Nobody knows who it was, and it may be meant.
    if (!crash.process) return std::nullopt;
    const uint64_t start_us = crash.process->start_us;
    if (start_us > latest_us) continue;
    // By now it may be known better when it began.
    const bool later = !crash.is_sure && ended && ended->start_us > crash.at_us &&
                       ended->start_us - start_us < kTickUs;
    // Of two that crashed with that number either may be meant.
    if (later || found != nullptr) return std::nullopt;
    found = &*crash.process;
  }
  if (found != nullptr) return *found;
  const bool lives = living && living->is_killed && living->start_us <= latest_us;
  const bool lived = ended && ended->is_killed && ended->start_us <= latest_us &&
                     ended->end_us + kKeptUs > moment.at_us;
  if (lives && lived && !may_be_one(holders)) return std::nullopt;
  if (lives && lived) return as_one(holders);
  if (lived) return ended;
  return lives ? living : std::nullopt;
}

}  // namespace vprocfs
