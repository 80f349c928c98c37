#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace vprocfs {

/// Tells the CPU time of pieces of a thread's work. The kernel's clock of a thread takes as long to
/// read as some pieces take: mostly one in so many is measured, at random, so that whoever repeats
/// a pattern cannot have only the cheap ones measured. Of one thread.
class CpuLaps {
 public:
  /// A piece begins that somebody pays for. `exactly`: it is measured in any case.
  void begin(bool exactly) {
    exactly_ = exactly;
    sampled_ = --left_ == 0;
    if (sampled_) left_ = next();
    unseen_us_ = 0;
    if ((!exactly_ && !sampled_) || follows_) return;
    unseen_us_ = kUnseenUs;
    began_ns_ = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  }

  /// It has ended. What is to be charged for it, µs: mostly 0 unless it was measured exactly, and
  /// for one that was measured at random what so many like it take. What a thread does from the end
  /// of one that was measured belongs to the next one.
  uint64_t end_us() {
    follows_ = exactly_ || sampled_;
    if (!follows_) return 0;
    const uint64_t now_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    const uint64_t took_us = unseen_us_ + (now_ns - began_ns_ + 500) / 1000;
    began_ns_ = now_ns;
    if (exactly_) return took_us;
    // One that takes long is rare, and must not count as many.
    return kEvery * std::min(took_us, kLongUs) + (took_us - std::min(took_us, kLongUs));
  }

  /// A piece for which nobody pays.
  void skip() { follows_ = exactly_ = sampled_ = false; }

 private:
  static constexpr uint32_t kEvery = 16;
  static constexpr uint64_t kLongUs = 500;
  /// What it takes to get a request from the kernel, where that was not measured.
  static constexpr uint64_t kUnseenUs = 5;

  /// How many pieces until the next one is measured: kEvery on average.
  uint32_t next() {
    random_ = random_ * 1664525 + 1013904223;  // Numerical Recipes, 2nd ed., 7.1
    return 1 + (random_ >> 16) % (2 * kEvery - 1);
  }

  bool exactly_ = false, sampled_ = false;
  bool follows_ = false;  ///< began_ns_ is the end of the piece before
  uint64_t began_ns_ = 0, unseen_us_ = 0;
  uint32_t random_ = static_cast<uint32_t>(clock_ns(CLOCK_MONOTONIC));
  uint32_t left_ = next();
};

}  // namespace vprocfs
