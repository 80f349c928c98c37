#include "survey/cpu_totals.h"

#include <algorithm>

#include "base/wide.h"
#include "container/earlier_use.h"

namespace vprocfs {
namespace {

std::array<uint64_t, kCpuKinds> readings_of(const CpuUsageFacts& usage) {
  return {usage.user_us, usage.nice_us, usage.system_us, usage.throttled_us};
}

}  // namespace

void CpuTotals::take(const CpuUsageFacts& usage, const CpuPlaces& places, size_t cpus,
                     uint64_t now_us, KeptCounters& kept) {
  const CpuPlaces before = places_.value_or(places);
  const auto readings = readings_of(usage);
  // More than that was used by others, who were there before.
  const uint64_t most = saturating_mul(saturating_sub(now_us, taken_us_), cpus);
  const uint64_t used = sum_of(usage);
  for (size_t i = 0; i < kCpuKinds; ++i) {
    const bool is_quota = i == static_cast<size_t>(CpuKind::kThrottled);
    const bool is_moved = is_quota ? places.quota != before.quota : places.time != before.time;
    const bool is_own = (is_quota ? usage.throttled_us : used) <= most;
    if (is_moved) kept.cpu[i] = {told_[i], is_own ? 0 : readings[i]};
    told_[i] = kept.cpu[i].told(readings[i]);
  }
  if (places.quota != before.quota) above_ = QuotasAbove();
  kept.above_us = saturating_add(kept.above_us, above_.take(usage.quotas_above));
  places_ = places;
  taken_us_ = now_us;
}

void CpuTotals::take_last(const CpuUsageFacts& usage, const KeptCounters& kept) {
  const auto readings = readings_of(usage);
  for (size_t i = 0; i < kCpuKinds; ++i) {
    told_[i] = std::max(told_[i], kept.cpu[i].told(readings[i]));
  }
}

void CpuTotals::tell(const KeptCounters& kept, Figures& out) const {
  const auto told = [this](CpuKind kind) { return told_[static_cast<size_t>(kind)]; };
  out.set_micro(Figure::kCpuUser, told(CpuKind::kUser));
  out.set_micro(Figure::kCpuNice, told(CpuKind::kNice));
  out.set_micro(Figure::kCpuSystem, told(CpuKind::kSystem));
  out.set_micro(Figure::kThrottled, saturating_add(told(CpuKind::kThrottled), kept.above_us));
}

}  // namespace vprocfs
