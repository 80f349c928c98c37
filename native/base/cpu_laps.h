#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace vprocfs {

/// Measures the CPU time of pieces of a thread's work. Reading a thread's CPU clock takes as long
/// as some pieces do, so only one piece in sixteen is measured, at random, so that nobody can
/// arrange that only cheap pieces are measured. Each thread has its own.
class CpuLaps {
 public:
  /// The part of a sampled piece beyond this counts only once, because such long pieces are rare.
  static constexpr uint64_t kLongUs = 500;

  /// A piece begins that is charged. `exactly`: it is measured, and not only perhaps.
  void begin(bool exactly) {
    exactly_ = exactly;
    sampled_ = --left_ == 0;
    if (sampled_) left_ = next();
    unseen_us_ = 0;
    if ((!exactly_ && !sampled_) || follows_) return;
    unseen_us_ = kUnseenUs;
    began_ns_ = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  }

  /// The piece has ended. Returns the time to charge for it in µs: its own time if it was measured
  /// exactly, sixteen times that if it was sampled, otherwise 0. After a measured piece, the time
  /// until the next one begins counts for the next one.
  uint64_t end_us() {
    follows_ = exactly_ || sampled_;
    if (!follows_) return 0;
    const uint64_t now_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    took_us_ = unseen_us_ + (now_ns - began_ns_ + 500) / 1000;
    began_ns_ = now_ns;
    if (exactly_) return took_us_;
    return kEvery * std::min(took_us_, kLongUs) + (took_us_ - std::min(took_us_, kLongUs));
  }

  /// What the piece took that was measured last, µs.
  uint64_t took_us() const { return took_us_; }

  /// A piece has ended that nobody pays for.
  void skip() { follows_ = exactly_ = sampled_ = false; }

 private:
  static constexpr uint32_t kEvery = 16;
  /// What it takes to get a request from the kernel, where that was not measured.
  static constexpr uint64_t kUnseenUs = 5;

  /// How many pieces until the next one is measured: kEvery on average.
  uint32_t next() {
    random_ = random_ * 1664525 + 1013904223;  // Numerical Recipes, 2nd ed., 7.1
    return 1 + (random_ >> 16) % (2 * kEvery - 1);
  }

  bool exactly_ = false, sampled_ = false;
  bool follows_ = false;  ///< began_ns_ is the end of the piece before
  uint64_t began_ns_ = 0, unseen_us_ = 0, took_us_ = 0;
  uint32_t random_ = static_cast<uint32_t>(clock_ns(CLOCK_MONOTONIC));
  uint32_t left_ = next();
};

}  // namespace vprocfs
