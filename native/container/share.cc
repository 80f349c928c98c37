#include "container/share.h"

#include <cstddef>

namespace vprocfs {

uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product / c;
  // Schoolbook multiplication from b's highest bit down, keeping quotient and remainder by c. The
  // remainder stays below c, so "r + x >= c" is asked as "r >= c - x", which cannot wrap.
  uint64_t quotient = 0;
  uint64_t remainder = 0;
  const auto add = [&](uint64_t x) {
    if (remainder >= c - x) {
      remainder -= c - x;
      ++quotient;
    } else {
      remainder += x;
    }
  };
  for (int bit = 63; bit >= 0; --bit) {
    quotient <<= 1;
    add(remainder);
    if ((b >> bit & 1) != 0) {
      quotient += a / c;
      add(a % c);
    }
  }
  return quotient;
}

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
