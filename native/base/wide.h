#pragma once

#include <cstdint>

namespace vprocfs {

/// Holds the product of any two 64-bit numbers.
__extension__ using Wide = unsigned __int128;

/// a * b / c, rounded down; UINT64_MAX where that is more than 64 bits, 0 where c is 0.
constexpr uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c) {
  if (c == 0) return 0;
  uint64_t product = 0;
  if (!__builtin_mul_overflow(a, b, &product)) return product / c;
  const Wide result = static_cast<Wide>(a) * b / c;
  return result > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(result);
}

/// a - b, or 0 where b is larger: no figure is ever negative or wraps.
constexpr uint64_t saturating_sub(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/// a + b, or the largest value where that would wrap.
constexpr uint64_t saturating_add(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }

/// a * b likewise.
constexpr uint64_t saturating_mul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

}  // namespace vprocfs
