#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/wide.h"
#include "facts/cpu.h"

namespace vprocfs {

/// How far the time that quotas above a container took is known, by level from the parent up. Plain
/// values: they lie in the state file.
struct QuotasAbove {
  /// Others were below that quota too: what it took until they had gone is not the container's.
  static constexpr uint64_t kUnknown = UINT64_MAX;
  std::array<uint64_t, kQuotaLevels> seen_us;

  /// Nothing is known: a cgroup above may have held others before the container.
  QuotasAbove() { seen_us.fill(kUnknown); }

  bool is_known() const {
    return std::any_of(seen_us.begin(), seen_us.end(),
                       [](uint64_t seen) { return seen != kUnknown; });
  }

  /// What they took since the last reading, as far as the container was alone below them all the
  /// time, as both readings say.
  uint64_t take(const std::vector<QuotaAbove>& reading) {
    uint64_t taken = 0;
    for (const QuotaAbove& quota : reading) {
      uint64_t& seen = seen_us[quota.level - 1];
      if (quota.throttled_us && seen != kUnknown) {
        taken = saturating_add(taken, saturating_sub(*quota.throttled_us, seen));
      }
      seen = quota.throttled_us.value_or(kUnknown);
    }
    return taken;
  }

  /// So much of it is to be told once more.
  void give_back(uint64_t us) {
    for (uint64_t& seen : seen_us) {
      const uint64_t part = seen == kUnknown ? 0 : std::min(seen, us);
      seen -= part;
      us -= part;
    }
  }
};

}  // namespace vprocfs
