#pragma once

#include <cstdint>
#include <vector>

#include "base/wide.h"

namespace vprocfs {

/// Divides amounts in proportion to weights. The parts of an amount add up to it exactly, and where
/// it is at most the sum of the weights no part is larger than its weight.
class Shares {
 public:
  void add(uint64_t weight) { ends_.push_back(saturating_add(sum(), weight)); }
  uint64_t sum() const { return ends_.empty() ? 0 : ends_.back(); }
  /// What the `index`th weight gets of `amount`.
  uint64_t part(uint64_t amount, size_t index) const {
    const uint64_t before = index == 0 ? 0 : ends_[index - 1];
    return saturating_sub(mul_div(amount, ends_[index], sum()), mul_div(amount, before, sum()));
  }

 private:
  std::vector<uint64_t> ends_;  ///< sums of the weights so far
};

}  // namespace vprocfs
