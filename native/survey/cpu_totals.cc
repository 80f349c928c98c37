#include "survey/cpu_totals.h"

#include <algorithm>
#include <utility>

#include "base/wide.h"
#include "container/earlier_use.h"
#include "container/user_time.h"

namespace vprocfs {
namespace {

std::array<uint64_t, kCpuKinds> readings_of(const CpuUsageFacts& usage) {
  return {usage.user_us, usage.nice_us, usage.system_us, usage.throttled_us};
}

/// Divides the user time of a reading by an earlier one of the same cgroup.
void divide_after(const CpuUsageFacts& seen, CpuUsageFacts& usage) {
  const UserTime time = user_time_after(seen, usage);
  usage.user_us = time.user_us;
  usage.nice_us = time.nice_us;
}

/// The user time of the last reading of another worker, as far as that has kept it.
CpuUsageFacts last_of(const KeptCounters& kept, const CpuUsageFacts& now) {
  CpuUsageFacts last;
  last.user_us = kept.cpu[static_cast<size_t>(CpuKind::kUser)].first;
  last.nice_us = kept.cpu[static_cast<size_t>(CpuKind::kNice)].first;
  // One that has counted less is another cgroup.
  return saturating_add(now.user_us, now.nice_us) < sum_of(last) ? CpuUsageFacts() : last;
}

}  // namespace

void CpuTotals::take(CpuUsageFacts usage, const CpuPlaces& places, size_t cpus, uint64_t now_us,
                     KeptCounters& kept) {
  if (!places_) last_ = last_of(kept, usage);
  const CpuPlaces before = places_.value_or(places);
  if (places.time != before.time) time_.note(before.time, last_);
  if (places.quota != before.quota) quota_.note(before.quota, last_);
  const CpuUsageFacts time_known =
      places.time == before.time ? last_ : time_.time_of(places.time, usage);
  divide_after(time_known, usage);
  const uint64_t throttled_known = quota_.throttled_of(places.quota, usage);
  const auto readings = readings_of(usage);
  // More than that was used by others, who were there before.
  const uint64_t most = saturating_mul(saturating_sub(now_us, taken_us_), cpus);
  const uint64_t used = saturating_sub(sum_of(usage), sum_of(time_known));
  const uint64_t throttled = saturating_sub(usage.throttled_us, throttled_known);
  for (size_t i = 0; i < kCpuKinds; ++i) {
    const bool is_quota = i == static_cast<size_t>(CpuKind::kThrottled);
    const bool is_moved = is_quota ? places.quota != before.quota : places.time != before.time;
    const bool is_own = (is_quota ? throttled : used) <= most;
    const uint64_t known = is_quota ? throttled_known : readings_of(time_known)[i];
    if (!places_) kept.cpu[i].begin(readings[i]);
    if (is_moved) kept.cpu[i] = {reported_[i], is_own ? known : readings[i]};
    const bool is_user = i <= static_cast<size_t>(CpuKind::kNice);
    reported_[i] = kept.cpu[i].take(readings[i], is_user && usage.tells_nice);
  }
  if (places.quota != before.quota) above_ = QuotasAbove();
  kept.above_us = saturating_add(kept.above_us, above_.take(usage.quotas_above));
  places_ = places;
  taken_us_ = now_us;
  note(std::move(usage));
}

void CpuTotals::take_last(CpuUsageFacts usage, const KeptCounters& kept) {
  divide_after(last_, usage);
  const auto readings = readings_of(usage);
  for (size_t i = 0; i < kCpuKinds; ++i) {
    reported_[i] = std::max(reported_[i], kept.cpu[i].reported(readings[i]));
  }
  note(std::move(usage));
}

void CpuTotals::note(CpuUsageFacts usage) {
  last_ = std::move(usage);
  last_.per_cpu.clear();
  last_.per_cpu.shrink_to_fit();
}

void CpuTotals::tell(const KeptCounters& kept, Figures& out) const {
  const auto told = [this](CpuKind kind) { return reported_[static_cast<size_t>(kind)]; };
  out.set_micro(Figure::kCpuUser, told(CpuKind::kUser));
  out.set_micro(Figure::kCpuNice, told(CpuKind::kNice));
  out.set_micro(Figure::kCpuSystem, told(CpuKind::kSystem));
  out.set_micro(Figure::kThrottled, saturating_add(told(CpuKind::kThrottled), kept.above_us));
}

}  // namespace vprocfs
