#include "watch/tenants.h"

#include <algorithm>
#include <utility>

namespace vprocfs {
namespace {

constexpr uint64_t kNumbers = UINT32_MAX;
/// JavaScript numbers hold keys exactly: serial and number have 52 bits together.
constexpr uint64_t kSerials = (uint64_t{1} << 20) - 1;
/// How long to wait before room is made again while there are too many.
constexpr uint64_t kCrowdedUs = 1'000'000;

}  // namespace

uint64_t Tenants::key_of(TenantNamespace tenant, uint64_t now_us) {
  if (tenant.number == 0) return 0;
  const uint64_t number = tenant.number & kNumbers;
  Entry& entry = entries_[number];
  if (!entry.pids) {
    entry.pids = std::move(tenant.pids);
    entry.key = (++serial_ & kSerials) << 32 | number;
    const uint64_t due = now_us + (entries_.size() > limit_ ? kCrowdedUs : kRetainUs);
    due_us_ = due_us_ == 0 ? due : std::min(due_us_, due);
  }
  entry.seen_us = now_us;
  return entry.key;
}

uint64_t Tenants::known(uint64_t number) const {
  const auto it = entries_.find(number & kNumbers);
  return it == entries_.end() ? 0 : it->second.key;
}

void Tenants::leave(uint64_t key, uint64_t now_us) {
  const auto it = entries_.find(key & kNumbers);
  if (it == entries_.end() || it->second.key != key) return;
  it->second.seen_us = now_us;
  if (due_us_ == 0) due_us_ = now_us + kRetainUs;
}

void Tenants::sweep(const std::function<bool(uint64_t key)>& in_use, uint64_t now_us) {
  const bool crowded = entries_.size() > limit_;
  uint64_t due = 0;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const Entry& entry = it->second;
    if (in_use(entry.key)) {
      ++it;
    } else if (crowded || now_us >= entry.seen_us + kRetainUs) {
      it = entries_.erase(it);
    } else {
      due = due == 0 ? entry.seen_us + kRetainUs : std::min(due, entry.seen_us + kRetainUs);
      ++it;
    }
  }
  due_us_ = due;
}

void Tenants::clear() {
  entries_.clear();
  due_us_ = 0;
}

}  // namespace vprocfs
