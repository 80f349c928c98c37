#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>

namespace vprocfs {

/// A token bucket: at most `per_second` renders, a tenth of a second's worth at once.
class Budget {
 public:
  /// `per_second` 0: no limit.
  explicit Budget(uint64_t per_second) : per_second_(per_second), tokens_us_(kBurstUs) {}

  /// Takes one token. Returns 0, or how many µs the taker has to wait for its turn: tokens are
  /// lent, so that those who wait are spread evenly rather than woken together.
  uint64_t take(uint64_t now_us) {
    if (per_second_ == 0) return 0;
    const std::lock_guard lock(mutex_);
    if (now_us > last_us_) {
      const uint64_t gained = now_us - last_us_;
      tokens_us_ = std::min<int64_t>(
          kBurstUs, tokens_us_ + static_cast<int64_t>(std::min<uint64_t>(gained, 10 * kBurstUs)));
      last_us_ = now_us;
    }
    tokens_us_ -= static_cast<int64_t>(std::max<uint64_t>(1, 1000000 / per_second_));
    return tokens_us_ >= 0 ? 0 : static_cast<uint64_t>(-tokens_us_);
  }

  /// Takes `tokens` for what was done already: those who come next wait longer.
  void charge(uint64_t tokens) {
    if (per_second_ == 0) return;
    const std::lock_guard lock(mutex_);
    tokens_us_ -= static_cast<int64_t>(tokens * std::max<uint64_t>(1, 1000000 / per_second_));
  }

 private:
  static constexpr int64_t kBurstUs = 100000;  ///< saved up at most, as time

  const uint64_t per_second_;
  std::mutex mutex_;
  int64_t tokens_us_;
  uint64_t last_us_ = 0;
};

}  // namespace vprocfs
