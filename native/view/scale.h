#pragma once

#include <cstdint>
#include <vector>

#include "view/writer.h"

namespace vprocfs {

/// a * b / c, rounded down; approximate where the product exceeds 64 bits. 0 where c is 0.
inline uint64_t scale(uint64_t a, uint64_t b, uint64_t c) {
  if (c == 0) return 0;
  uint64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product / c;
  const long double result =
      static_cast<long double>(a) / static_cast<long double>(c) * static_cast<long double>(b);
  return result >= 0x1p64L ? UINT64_MAX : static_cast<uint64_t>(result);
}

/// Divides amounts in proportion to weights. The parts of an amount add up to it exactly, and where
/// it is at most the sum of the weights no part is larger than its weight.
class Shares {
 public:
  void add(uint64_t weight) { ends_.push_back(saturating_add(sum(), weight)); }
  uint64_t sum() const { return ends_.empty() ? 0 : ends_.back(); }
  /// What the `index`th weight gets of `amount`.
  uint64_t part(uint64_t amount, size_t index) const {
    const uint64_t before = index == 0 ? 0 : ends_[index - 1];
    return saturating_sub(scale(amount, ends_[index], sum()), scale(amount, before, sum()));
  }

 private:
  std::vector<uint64_t> ends_;  ///< sums of the weights so far
};

}  // namespace vprocfs
