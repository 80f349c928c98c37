#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/result.h"
#include "base/shortage.h"

namespace vprocfs {

/// Something that could not be had, and when to try again. If there was a lack of descriptors or
/// memory, which may pass: soon, each further try later. If the kernel may have it and did not say
/// (EOPNOTSUPP, see ProcessEvents): after long. Else never. Times are of any monotonic clock. Not
/// thread-safe.
class Retry {
 public:
  void note_failure(Error problem, uint64_t now_us) {
    constexpr uint64_t kFirstUs = 1'000'000, kLastUs = 60'000'000, kUnansweredUs = 600'000'000;
    wait_us_ = std::clamp(wait_us_ * 2, kFirstUs, kLastUs);
    due_us_ = 0;
    if (is_shortage(problem.code)) due_us_ = now_us + wait_us_;
    if (problem.code == EOPNOTSUPP) due_us_ = now_us + kUnansweredUs;
    problem_ = std::move(problem);
  }
  void note_success() {
    due_us_ = 0;
    problem_.reset();
  }

  /// Why it could not be had; nothing: it could, or was not tried.
  const std::optional<Error>& problem() const { return problem_; }
  bool is_due(uint64_t now_us) const { return due_us_ != 0 && now_us >= due_us_; }
  /// When to try again, or `other_us`, whichever comes first; 0 is never.
  uint64_t due_us(uint64_t other_us) const {
    return due_us_ == 0 || other_us == 0 ? std::max(due_us_, other_us)
                                         : std::min(due_us_, other_us);
  }

 private:
  std::optional<Error> problem_;
  uint64_t due_us_ = 0, wait_us_ = 0;
};

}  // namespace vprocfs
