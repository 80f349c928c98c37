#pragma once

#include <algorithm>
#include <cstdint>

namespace vprocfs {

/// How many records a tenant may write to its logs: 256 at once, then one every 16 ms. Not
/// thread-safe.
class LogWrites {
 public:
  /// False: the tenant has written too much. `now_us` is CLOCK_BOOTTIME.
  bool take(uint64_t now_us) {
    const uint64_t gained = (now_us - at_us_) / kRefillUs;
    tokens_ = std::min(kBurst, tokens_ + gained);
    at_us_ = tokens_ == kBurst ? now_us : at_us_ + gained * kRefillUs;
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  static constexpr uint64_t kBurst = 256, kRefillUs = 16'000;

  uint64_t tokens_ = kBurst;
  uint64_t at_us_ = 0;
};

}  // namespace vprocfs
