#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/wide.h"

namespace vprocfs {

/// Divides amounts in proportion to weights. The parts of an amount add up to it exactly, a part of
/// weight 0 is 0, and where the amount is at most the sum of the weights no part is larger than its
/// weight. Where all weights are 0 all parts are.
class Shares {
 public:
  void add(uint64_t weight) { ends_.push_back(saturating_add(sum(), weight)); }
  uint64_t sum() const { return ends_.empty() ? 0 : ends_.back(); }
  /// What the `index`th weight gets of `amount`.
  uint64_t part(uint64_t amount, size_t index) const {
    // What the first parts have in common is rounded, not each part: so nothing gets lost.
    const uint64_t before = index == 0 ? 0 : ends_[index - 1];
    return mul_div(amount, ends_[index], sum()) - mul_div(amount, before, sum());
  }

 private:
  std::vector<uint64_t> ends_;  ///< sums of the weights so far
};

/// All parts of `amount`.
inline std::vector<uint64_t> split(uint64_t amount, const std::vector<uint64_t>& weights) {
  if (amount == 0) return std::vector<uint64_t>(weights.size());
  Shares shares;
  for (const uint64_t weight : weights) shares.add(weight);
  std::vector<uint64_t> parts;
  parts.reserve(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) parts.push_back(shares.part(amount, i));
  return parts;
}

}  // namespace vprocfs
