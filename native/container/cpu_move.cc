#include "container/cpu_move.h"

#include <algorithm>

#include "base/wide.h"
#include "container/earlier_use.h"
#include "container/user_time.h"

namespace vprocfs {
namespace {

/// Hosts move containers to and fro between two cgroups, if at all.
constexpr size_t kMaxLeft = 4;

void take(uint64_t reading, uint64_t& seen, uint64_t& pending) {
  if (reading <= seen) return;
  pending = saturating_add(pending, reading - seen);
  seen = reading;
}

/// Takes `usage` of CPU time, and no other, as what is known.
void begin_at(CpuHistory& history, const CpuUsageFacts& usage) {
  const uint64_t throttled_us = history.seen.throttled_us;
  history.seen = {};
  for (CpuHistory::Cpu& cpu : history.cpus) cpu.seen_user_us = cpu.seen_system_us = 0;
  leave_out(history, usage);
  history.seen.throttled_us = throttled_us;
}

}  // namespace

void LeftPlaces::note(uint64_t place, CpuUsageFacts last) {
  const auto is_it = [place](const auto& left) { return left.first == place; };
  left_.erase(std::remove_if(left_.begin(), left_.end(), is_it), left_.end());
  if (left_.size() == kMaxLeft) left_.erase(left_.begin());
  left_.emplace_back(place, std::move(last));
}

CpuUsageFacts LeftPlaces::last_of(uint64_t place) const {
  for (const auto& [left, last] : left_) {
    if (left == place) return last;
  }
  return {};
}

CpuUsageFacts LeftPlaces::time_of(uint64_t place, const CpuUsageFacts& now) const {
  CpuUsageFacts last = last_of(place);
  return sum_of(now) < sum_of(last) ? CpuUsageFacts() : last;
}

uint64_t LeftPlaces::throttled_of(uint64_t place, const CpuUsageFacts& now) const {
  const uint64_t last = last_of(place).throttled_us;
  return now.throttled_us < last ? 0 : last;
}

void note_last(CpuHistory& history, const CpuUsageFacts& last) {
  // Before the first report it is not known what of it is the container's.
  if (history.uptime_us == 0) return;
  const UserTime now = user_time_after(history.seen, last);
  take(now.user_us, history.seen.user_us, history.pending_user_us);
  take(now.nice_us, history.seen.nice_us, history.pending_nice_us);
  take(last.system_us, history.seen.system_us, history.pending_system_us);
  take(last.throttled_us, history.seen.throttled_us, history.pending_steal_us);
  history.pending_steal_us =
      saturating_add(history.pending_steal_us, history.above.take(last.quotas_above));
}

void CpuMoves::begin_elsewhere(CpuHistory& history, const CpuUsageFacts& first,
                               const CpuPlaces& before, const CpuPlaces& now, uint64_t within_us,
                               size_t cpus) {
  const uint64_t most = saturating_mul(within_us, cpus);
  const CpuUsageFacts last = seen_by(history);
  if (now.quota != before.quota) {
    quota_.note(before.quota, last);
    const uint64_t known = quota_.throttled_of(now.quota, first);
    const bool is_own = saturating_sub(first.throttled_us, known) <= most;
    history.seen.throttled_us = is_own ? known : first.throttled_us;
    history.above = QuotasAbove();
  }
  if (now.time != before.time) {
    time_.note(before.time, last);
    const CpuUsageFacts known = time_.time_of(now.time, first);
    begin_at(history, saturating_sub(sum_of(first), sum_of(known)) <= most ? known : first);
  }
}

void go_on(CpuHistory& history, const CpuUsageFacts& now) {
  // What one cgroup of v1 has counted never falls.
  const bool is_elsewhere = sum_of(now) < sum_of(history.seen);
  if (is_elsewhere || now.throttled_us < history.seen.throttled_us) {
    history.seen.throttled_us = now.throttled_us;
    history.above = QuotasAbove();
  }
  if (is_elsewhere) begin_at(history, now);
}

}  // namespace vprocfs
