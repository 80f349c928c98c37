#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace vprocfs {

/// Measures the CPU time of pieces of a thread's work. Reading a thread's CPU clock takes as long
/// as some pieces do, so of pieces of some µs only one in sixteen is measured, at random, so that
/// nobody can arrange that only cheap pieces are measured. All others are, which CLOCK_MONOTONIC
/// tells at next to no cost. Each thread has its own.
class CpuLaps {
 public:
  /// What takes longer is charged as it is, whether it was sampled or not.
  static constexpr uint64_t kShortUs = 60;

  /// A piece begins that is charged. `exactly`: it is measured, and not only perhaps. `since_ns`,
  /// CLOCK_MONOTONIC: when the work for it began, part of which was to find out who pays.
  void begin(bool exactly, uint64_t since_ns = clock_ns(CLOCK_MONOTONIC)) {
    exactly_ = exactly;
    sampled_ = --left_ == 0;
    if (sampled_) left_ = next();
    since_ns_ = since_ns;
    unseen_us_ = 0;
    if (seen_ns_ == 0) see();
    if (!is_measured() || follows_) return;
    unseen_us_ = kUnseenUs;
    if (const uint64_t passed_ns = passed(); passed_ns >= kShortNs) {
      unseen_us_ += used(passed_ns) / 1000;
    } else {
      see();
    }
    began_ns_ = seen_ns_;
  }

  /// The piece has ended. Returns the time to charge for it in µs: its own time if it was measured
  /// exactly or took long, sixteen times that if it was sampled, otherwise 0. After a measured
  /// piece, the time until the next one begins counts for the next one.
  uint64_t end_us() {
    const uint64_t passed_ns = passed();
    follows_ = is_measured() || passed_ns >= kShortNs;
    if (!follows_) {
      others_ns_ += passed_ns;
      return 0;
    }
    if (is_measured()) {
      see();
      took_us_ = unseen_us_ + (seen_ns_ - began_ns_ + 500) / 1000;
    } else {
      took_us_ = std::max<uint64_t>(1, used(passed_ns) / 1000);
    }
    began_ns_ = seen_ns_;
    return exactly_ || passed_ns >= kShortNs ? took_us_ : kEvery * took_us_;
  }

  /// What the piece took that was measured last, µs.
  uint64_t took_us() const { return took_us_; }

  /// A piece begins or has ended that nobody pays for.
  void skip() { follows_ = exactly_ = sampled_ = false; }
  /// It has ended, and began at `since_ns`, CLOCK_MONOTONIC.
  void skip(uint64_t since_ns) {
    skip();
    const uint64_t passed_ns = clock_ns(CLOCK_MONOTONIC) - since_ns;
    if (passed_ns >= kShortNs) {
      see();
    } else {
      others_ns_ += passed_ns;
    }
  }

 private:
  static constexpr uint32_t kEvery = 16;
  static constexpr uint64_t kShortNs = kShortUs * 1000;
  /// What it takes to get a request from the kernel, where that was not measured.
  static constexpr uint64_t kUnseenUs = 5;

  bool is_measured() const { return exactly_ || sampled_; }
  uint64_t passed() const { return clock_ns(CLOCK_MONOTONIC) - since_ns_; }

  /// Reads the thread's CPU clock.
  void see() {
    seen_ns_ = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    others_ns_ = 0;
  }

  /// What the thread has used in the last `passed_ns`: all since its CPU clock was read, less the
  /// pieces that were not measured since then.
  uint64_t used(uint64_t passed_ns) {
    const uint64_t before_ns = seen_ns_ + others_ns_;
    see();
    return seen_ns_ <= before_ns ? 0 : std::min(passed_ns, seen_ns_ - before_ns);
  }

  /// How many pieces until the next one is measured: kEvery on average.
  uint32_t next() {
    random_ = random_ * 1664525 + 1013904223;  // Numerical Recipes, 2nd ed., 7.1
    return 1 + (random_ >> 16) % (2 * kEvery - 1);
  }

  bool exactly_ = false, sampled_ = false;
  bool follows_ = false;   ///< began_ns_ is the end of the piece before
  uint64_t since_ns_ = 0;  ///< CLOCK_MONOTONIC
  uint64_t began_ns_ = 0, unseen_us_ = 0, took_us_ = 0;
  uint64_t seen_ns_ = 0;    ///< what the thread's CPU clock said last
  uint64_t others_ns_ = 0;  ///< of the pieces that were not measured since
  uint32_t random_ = static_cast<uint32_t>(clock_ns(CLOCK_MONOTONIC));
  uint32_t left_ = next();
};

}  // namespace vprocfs
