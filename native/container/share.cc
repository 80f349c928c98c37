#include "container/share.h"

#include <cstddef>

#include "base/wide.h"

namespace vprocfs {

std::vector<uint64_t> split(uint64_t amount, const std::vector<uint64_t>& weights) {
  std::vector<uint64_t> parts(weights.size());
  uint64_t sum = 0;
  for (const uint64_t weight : weights) {
    if (__builtin_add_overflow(sum, weight, &sum)) sum = UINT64_MAX;
  }
  const bool even = sum == 0;
  if (even) sum = weights.size();
  // What the first i parts have in common is rounded, not each part: so nothing gets lost.
  uint64_t reached = 0;
  uint64_t given = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (__builtin_add_overflow(reached, even ? 1 : weights[i], &reached)) reached = UINT64_MAX;
    const uint64_t share = mul_div(amount, reached, sum);
    parts[i] = share - given;
    given = share;
  }
  return parts;
}

}  // namespace vprocfs
