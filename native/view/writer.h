#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vprocfs {

/// a - b, or 0 where b is larger: no figure is ever negative or wraps.
constexpr uint64_t saturating_sub(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/// a + b, or the largest value where that would wrap.
constexpr uint64_t saturating_add(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }

/// Builds the text of a view. The only place that knows about padding.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  Writer& text(std::string_view s);
  Writer& ch(char c);
  Writer& number(uint64_t value);
  /// Right-aligned in `width` columns with blanks; wider values push (printf "%*llu").
  Writer& right(uint64_t value, size_t width);
  /// Left-aligned in `width` columns (printf "%-*s").
  Writer& left(std::string_view s, size_t width);
  /// value / 10^decimals with exactly `decimals` digits after the point, e.g. centiseconds.
  Writer& fixed(uint64_t value, unsigned decimals);

 private:
  std::string& out_;
};

}  // namespace vprocfs
