#include "survey/table_turns.h"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace vprocfs {

void TableTurns::begin(uint64_t now_us) {
  now_us_ = now_us;
  order_.clear();
  for (auto it = uses_.begin(); it != uses_.end();) {
    Use& use = it->second;
    const bool is_past = !use.is_there && use.not_before_us <= now_us;
    use.is_there = false;
    use.due.clear();
    it = is_past ? uses_.erase(it) : std::next(it);
  }
}

void TableTurns::add(const TenantIdentity& tenant, ContainerId container, uint64_t due_us) {
  Use& use = uses_[tenant];
  use.is_there = true;
  if (due_us > now_us_ || use.not_before_us > now_us_) return;
  if (use.due.empty()) {
    // Nobody saves up turns.
    use.spent_us = std::max(use.spent_us, clock_us_);
    order_.emplace(use.spent_us, tenant);
  }
  use.due.emplace(due_us, container);
}

std::optional<ContainerId> TableTurns::next() {
  if (order_.empty()) return std::nullopt;
  const auto least = order_.begin();
  std::tie(clock_us_, tenant_) = *least;
  order_.erase(least);
  Use& use = uses_[tenant_];
  const ContainerId container = use.due.begin()->second;
  use.due.erase(use.due.begin());
  return container;
}

void TableTurns::charge(uint64_t took_us) {
  Use& use = uses_[tenant_];
  use.spent_us += took_us;
  use.not_before_us = std::max(use.not_before_us, now_us_) + took_us * kRestFactor;
  if (!use.due.empty()) order_.emplace(use.spent_us, tenant_);
}

}  // namespace vprocfs
