#include "watch/tenants.h"

#include <algorithm>
#include <utility>

namespace vprocfs {
namespace {

constexpr uint64_t kNumbers = UINT32_MAX;
/// So that a double has room for the key.
constexpr uint64_t kSerials = (uint64_t{1} << 20) - 1;
/// Tries to make room are not more frequent.
constexpr uint64_t kCrowdedUs = 1'000'000;

}  // namespace

uint64_t Tenants::key_of(TenantNamespace tenant, uint64_t now_us) {
  if (tenant.number == 0) return 0;
  const uint64_t number = tenant.number & kNumbers;
  Kept& kept = kept_[number];
  if (!kept.pids) {
    kept.pids = std::move(tenant.pids);
    kept.key = (++serial_ & kSerials) << 32 | number;
    const uint64_t due = now_us + (kept_.size() > limit_ ? kCrowdedUs : kKeepUs);
    due_us_ = due_us_ == 0 ? due : std::min(due_us_, due);
  }
  kept.seen_us = now_us;
  return kept.key;
}

void Tenants::leave(uint64_t key, uint64_t now_us) {
  const auto it = kept_.find(key & kNumbers);
  if (it == kept_.end() || it->second.key != key) return;
  it->second.seen_us = now_us;
  if (due_us_ == 0) due_us_ = now_us + kKeepUs;
}

void Tenants::sweep(const std::function<bool(uint64_t key)>& in_use, uint64_t now_us) {
  const bool crowded = kept_.size() > limit_;
  uint64_t due = 0;
  for (auto it = kept_.begin(); it != kept_.end();) {
    const Kept& kept = it->second;
    if (in_use(kept.key)) {
      ++it;
    } else if (crowded || now_us >= kept.seen_us + kKeepUs) {
      it = kept_.erase(it);
    } else {
      due = due == 0 ? kept.seen_us + kKeepUs : std::min(due, kept.seen_us + kKeepUs);
      ++it;
    }
  }
  due_us_ = due;
}

void Tenants::clear() {
  kept_.clear();
  due_us_ = 0;
}

}  // namespace vprocfs
