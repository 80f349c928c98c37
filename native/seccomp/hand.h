#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

namespace vprocfs {

/// The call that one thread has in hand. Whoever claims it answers it: that thread, or another one
/// that gives it up because it takes too long. Thread-safe.
class Hand {
 public:
  /// `give_up` lets the call through to the kernel, and others of the same source be taken;
  /// `release` does only the latter. Without `release` others have to wait for the answer.
  void begin(uint64_t now_us, std::function<void()> give_up, std::function<void()> release) {
    const std::lock_guard lock(mutex_);
    state_ = State::kAsking;
    since_us_ = now_us;
    give_up_ = std::move(give_up);
    release_ = std::move(release);
  }

  /// False: it was answered already.
  bool claim() {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kAsking) state_ = State::kClaimed;
    return state_ == State::kClaimed;
  }

  /// What became of the call.
  enum class End { kAnswered, kReleased, kGivenUp };
  /// kReleased: answered here, but late, so that its source goes on already.
  End finish() {
    const std::lock_guard lock(mutex_);
    const End end = state_ == State::kGivenUp ? End::kGivenUp
                    : released_               ? End::kReleased
                                              : End::kAnswered;
    state_ = State::kIdle;
    late_ = released_ = false;
    give_up_ = release_ = nullptr;
    return end;
  }

  enum class Watch { kIdle, kInTime, kLate };
  /// Gives up what was begun before `since_us` and is not claimed yet. What is being written into
  /// the caller's memory cannot be given up, since the kernel would write there too; its source is
  /// released all the same where it can be. kLate once for each call.
  Watch watch(uint64_t since_us) {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kIdle || late_) return Watch::kIdle;
    if (since_us_ >= since_us) return Watch::kInTime;
    late_ = true;
    if (state_ == State::kAsking) {
      state_ = State::kGivenUp;
      give_up_();
    } else if (release_) {
      released_ = true;
      release_();
    }
    return Watch::kLate;
  }

 private:
  enum class State : uint8_t { kIdle, kAsking, kClaimed, kGivenUp };
  std::mutex mutex_;
  State state_ = State::kIdle;
  bool late_ = false, released_ = false;
  uint64_t since_us_ = 0;
  std::function<void()> give_up_, release_;
};

}  // namespace vprocfs
