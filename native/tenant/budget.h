#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace vprocfs {

/// A token bucket: at most `per_second` of something, a tenth of a second's worth at once.
class Budget {
 public:
  /// `per_second` 0: no limit.
  explicit Budget(uint64_t per_second) : per_second_(per_second), tokens_us_(kBurstUs) {}

  /// Takes one token. Returns 0, or how many µs the taker has to wait for its turn: tokens are
  /// lent, so that those who wait are spread evenly rather than woken together.
  uint64_t take(uint64_t now_us) {
    if (per_second_ == 0) return 0;
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    tokens_us_ -= worth_us(1);
    return wait_locked();
  }

  /// Takes back what take() took: the taker was refused.
  void give_back() {
    if (per_second_ == 0) return;
    const std::lock_guard lock(mutex_);
    tokens_us_ = std::min(kBurstUs, tokens_us_ + worth_us(1));
    note_low_locked();
  }

  /// The same for work whose cost is known only when it is done, and is charge()d then. If it has
  /// to wait, `tokens` are lent for it: give() them back when it has waited.
  uint64_t lend(uint64_t now_us, uint64_t tokens) {
    if (per_second_ == 0) return 0;
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    const uint64_t wait_us = wait_locked();
    if (wait_us != 0) lent_us_ += worth_us(tokens);
    return wait_us;
  }
  void give(uint64_t tokens) {
    if (per_second_ == 0 || tokens == 0) return;
    const std::lock_guard lock(mutex_);
    lent_us_ -= worth_us(tokens);
    note_low_locked();
  }

  /// Whether so much was charged that a request which has already waited must wait longer: the
  /// requests before it used more than was lent to them.
  bool is_exceeded(uint64_t now_us) {
    if (per_second_ == 0) return false;
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    return tokens_us_ < -kBurstUs / 2;
  }

  /// Whether less than half of the burst was left when tokens were last taken or charged. If not,
  /// no request has to wait. Takes no lock.
  bool is_low() const { return is_low_.load(std::memory_order_relaxed); }

  /// Charges `tokens` for work that is already done. Later requests wait for it, at most 2 s longer
  /// than for requests that already wait.
  void charge(uint64_t now_us, uint64_t tokens) {
    if (per_second_ == 0 || tokens == 0) return;
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    tokens_us_ = std::max(tokens_us_ - worth_us(tokens), std::min(tokens_us_, -kMaxDebtUs));
    note_low_locked();
  }

  /// Forgives all that is owed beyond `beyond_us`.
  void forgive(uint64_t now_us, int64_t beyond_us) {
    const std::lock_guard lock(mutex_);
    gain_locked(now_us);
    tokens_us_ = std::max(tokens_us_, -beyond_us);
    note_low_locked();
  }

 private:
  void gain_locked(uint64_t now_us) {
    if (now_us <= last_us_) return;
    const auto gained = static_cast<int64_t>(now_us - last_us_);
    tokens_us_ = std::min(kBurstUs, tokens_us_ + gained);
    last_us_ = now_us;
  }
  uint64_t wait_locked() {
    note_low_locked();
    const int64_t left_us = tokens_us_ - lent_us_;
    return left_us >= 0 ? 0 : static_cast<uint64_t>(-left_us);
  }
  void note_low_locked() {
    is_low_.store(tokens_us_ - lent_us_ < kBurstUs / 2, std::memory_order_relaxed);
  }
  int64_t worth_us(uint64_t tokens) const {
    return static_cast<int64_t>(std::max<uint64_t>(1, tokens * 1000000 / per_second_));
  }

  static constexpr int64_t kBurstUs = 100'000;      ///< saved up at most, as time
  static constexpr int64_t kMaxDebtUs = 2'000'000;  ///< charged at most, likewise

  const uint64_t per_second_;
  std::mutex mutex_;
  int64_t tokens_us_;    ///< what there is, or is owed if negative; as time
  int64_t lent_us_ = 0;  ///< to those who wait, likewise
  uint64_t last_us_ = 0;
  std::atomic<bool> is_low_{false};
};

}  // namespace vprocfs
