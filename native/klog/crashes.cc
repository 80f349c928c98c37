#include "klog/crashes.h"

#include <algorithm>
#include <utility>

#include "base/clock_tick.h"

namespace vprocfs {
namespace {

/// So many take 5 MiB. One CPU makes some 25,000 crashes a second, and a record may come half a
/// second late.
constexpr size_t kMaxCrashes = 65536;
/// Of so many, the latest, the processes are kept.
constexpr size_t kMaxProcesses = 512;
/// A report is forgotten after this time: the record of the crash has been read by then.
constexpr uint64_t kRetainUs = 5'000'000;

/// The process that had the PID at that time and was killed; nothing: that is not known.
std::optional<KnownProcess> holder_at(uint64_t at_us, const PidHolders& holders) {
  const auto& [living, ended] = holders;
  const bool maybe_same = may_be_same(holders);
  if (ended && ended->is_killed && ended->start_us <= at_us && at_us <= ended->end_us) {
    return maybe_same && living->is_killed ? merged(holders) : *ended;
  }
  // Of an ended process the start is known exactly, of a living one only the tick.
  const bool began_later = maybe_same && ended->start_us > at_us;
  if (!living || !living->is_killed || living->start_us > at_us || began_later) return std::nullopt;
  return *living;
}

/// Whether a living process may have begun after the crash of one that has its PID no more.
bool may_be_later(const std::optional<KnownProcess>& living, const KnownProcess* crashed,
                  uint64_t crashed_us) {
  if (!living || living->start_us + kClockTickUs <= crashed_us) return false;
  return !living->is_killed || crashed == nullptr || !may_be_same({living, *crashed});
}

}  // namespace

bool Crashes::Crash::is_recent(uint64_t now_us) const { return now_us < at_us + kRetainUs; }

void Crashes::add(pid_t pid, uint64_t at_us, const PidHolders& holders) {
  auto process = holder_at(at_us, holders);
  const bool is_exact = process && process->end_us != 0;
  const bool is_sure = is_exact || (process && process->start_us + kClockTickUs <= at_us);
  if (process) process->end_us = at_us;
  Crash crash{at_us, nullptr, is_sure};
  if (process) crash.process = std::make_unique<KnownProcess>(std::move(*process));
  const bool is_known = crash.process != nullptr;
  order_.push_back(crashes_.insert({pid, std::move(crash)}));
  if (is_known) with_processes_.push_back(order_.back());
  if (with_processes_.size() > kMaxProcesses) {
    // Whoever makes many crashes must not make those of others unknown: what is forgotten leaves
    // only this PID unproven.
    Crash& earlier = with_processes_.front()->second;
    earlier.process.reset();
    earlier.is_sure = false;
    with_processes_.pop_front();
  }
  while (order_.size() > kMaxCrashes || !order_.front()->second.is_recent(at_us)) {
    const auto oldest = order_.front();
    lost_us_ = std::max(lost_us_, oldest->second.at_us);
    if (!with_processes_.empty() && with_processes_.front() == oldest) with_processes_.pop_front();
    crashes_.erase(oldest);
    order_.pop_front();
  }
}

/// Whether a crash that was not reported before `least_us` may be missing here.
bool Crashes::may_lack(uint64_t least_us, uint64_t now_us) const {
  return lost_us_ != 0 && now_us < lost_us_ + kRetainUs && lost_us_ >= least_us;
}

bool Crashes::has_report(pid_t pid, uint64_t least_us, uint64_t now_us) const {
  if (may_lack(least_us, now_us)) return true;
  const auto [begin, end] = crashes_.equal_range(pid);
  return std::any_of(begin, end, [&](const auto& entry) {
    return entry.second.is_recent(now_us) && entry.second.at_us >= least_us;
  });
}

bool Crashes::is_of_later(pid_t pid, const LogMoment& moment, const PidHolders& holders,
                          uint64_t now_us) const {
  if (may_lack(moment.least_us, now_us)) return false;
  const auto [begin, end] = crashes_.equal_range(pid);
  return std::all_of(begin, end, [&](const auto& entry) {
    const Crash& crash = entry.second;
    return !crash.is_recent(now_us) ||
           may_be_later(holders.living, crash.process.get(), crash.at_us);
  });
}

bool Crashes::is_uncertain(pid_t pid, const PidHolders& holders, uint64_t now_us) const {
  const auto [begin, end] = crashes_.equal_range(pid);
  for (auto it = begin; it != end; ++it) {
    const Crash& crash = it->second;
    if (crash.is_sure || !crash.is_recent(now_us)) continue;
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
  // The record may be about one whose crash is not known.
  if (may_lack(moment.least_us, now_us)) return std::nullopt;
  const auto& [living, ended] = holders;
  std::optional<KnownProcess> found;
  uint64_t crashed_us = 0;
  const auto [begin, end] = crashes_.equal_range(pid);
  for (auto it = begin; it != end; ++it) {
    const Crash& crash = it->second;
    // The kernel reports a crash after it has logged it.
    if (!crash.is_recent(now_us) || crash.at_us < moment.least_us) continue;
    // A process that could not be told when it crashed may have ended since, and then it can.
    auto process = crash.process ? std::optional(*crash.process) : holder_at(crash.at_us, holders);
    // The record may be about this crash, and its process is not known.
    if (!process) return std::nullopt;
    const uint64_t start_us = process->start_us;
    if (start_us > latest_us) continue;
    // If the process has ended since, its exact start shows that it did not begin after the crash.
    const bool is_sure =
        crash.is_sure || start_us + kClockTickUs <= crash.at_us ||
        (ended && ended->start_us <= crash.at_us && ended->start_us - start_us < kClockTickUs);
    // If two processes with this PID crashed, the record may be about either.
    if (!is_sure || found) return std::nullopt;
    found = std::move(process);
    crashed_us = crash.at_us;
  }
  if (found) {
    // The record may be about a later one, of which no crash has been reported yet.
    const bool is_of_living =
        may_be_later(living, &*found, crashed_us) && living->start_us <= latest_us;
    const bool is_of_ended =
        ended && ended->is_killed && ended->start_us > crashed_us && ended->start_us <= latest_us;
    return is_of_living || is_of_ended ? std::nullopt : found;
  }
  // Without a report there is only the time of the record, which is less exact.
  const bool lives = living && living->is_killed && living->start_us + kYoungUs <= latest_us;
  const bool may_have_lived =
      ended && ended->is_killed && ended->start_us + kYoungUs <= latest_us &&
      ended->end_us + kRetainUs > moment.at_us && ended->end_us >= moment.least_us;
  const bool lived =
      may_have_lived && (moment.slack_us > 0 || ended->end_us + kEndedUs > moment.at_us);
  const bool may_live = living && living->start_us <= latest_us;
  if (may_live && may_have_lived && !may_be_same(holders)) return std::nullopt;
  if (lives && may_have_lived) return merged(holders);
  if (lived) return ended;
  return lives ? living : std::nullopt;
}

}  // namespace vprocfs
