#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace vprocfs {

/// A token bucket: at most `per_second` of something, a tenth of a second's worth at once.
class Budget {
 public:
  static constexpr int64_t kMostOwedUs = 2'000'000;

  /// `per_second` 0: no limit. `most_owed_us`: what is charged is forgiven beyond that, as time.
  explicit Budget(uint64_t per_second, int64_t most_owed_us = kMostOwedUs)
      : per_second_(per_second), most_owed_us_(most_owed_us), tokens_us_(kBurstUs) {}

  /// Takes one token. Returns 0, or how many µs the taker has to wait for its turn: tokens are
  /// lent, so that those who wait are spread evenly rather than woken together.
  uint64_t take(uint64_t now_us) {
    if (per_second_ == 0) return 0;
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    set_locked(tokens_us_ - worth_us(1));
    return tokens_us_ >= 0 ? 0 : static_cast<uint64_t>(-tokens_us_);
  }

  /// The same for one whose cost is known when it is done, and charged then. `tokens` are taken
  /// only if it has to wait: give() them back once it has.
  uint64_t lend(uint64_t now_us, uint64_t tokens) {
    if (per_second_ == 0) return 0;
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    if (tokens_us_ >= 0) return 0;
    const auto wait_us = static_cast<uint64_t>(-tokens_us_);
    set_locked(tokens_us_ - worth_us(tokens));
    return wait_us;
  }
  void give(uint64_t tokens) {
    const std::lock_guard lock(mutex_);
    if (tokens != 0) set_locked(tokens_us_ + worth_us(tokens));
  }

  /// Whether more than half of what can be saved up was spent when it was last asked for or
  /// charged: otherwise nobody has to wait. Takes no lock.
  bool is_low() const { return is_low_.load(std::memory_order_relaxed); }

  /// Takes `tokens` for what was done already: those who come next wait longer, but no longer than
  /// for what may be owed.
  void charge(uint64_t now_us, uint64_t tokens) {
    if (per_second_ == 0 || tokens == 0) return;
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    set_locked(std::max(tokens_us_ - worth_us(tokens), std::min(tokens_us_, -most_owed_us_)));
  }

 private:
  void gain_locked(uint64_t now_us) {
    if (now_us <= last_us_) return;
    const auto gained = static_cast<int64_t>(now_us - last_us_);
    set_locked(std::min(kBurstUs, tokens_us_ + gained));
    last_us_ = now_us;
  }
  void set_locked(int64_t tokens_us) {
    tokens_us_ = tokens_us;
    is_low_.store(tokens_us < kBurstUs / 2, std::memory_order_relaxed);
  }
  int64_t worth_us(uint64_t tokens) const {
    return static_cast<int64_t>(std::max<uint64_t>(1, tokens * 1000000 / per_second_));
  }

  static constexpr int64_t kBurstUs = 100'000;  ///< saved up at most, as time

  const uint64_t per_second_;
  const int64_t most_owed_us_;
  std::mutex mutex_;
  int64_t tokens_us_;
  uint64_t last_us_ = 0;
  std::atomic<bool> is_low_{false};
};

}  // namespace vprocfs
