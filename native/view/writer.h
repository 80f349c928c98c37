#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vprocfs {

/// Builds the text of a view. The only place that knows about padding.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  Writer& text(std::string_view s);
  Writer& ch(char c);
  Writer& number(uint64_t value);
  /// " 0", so many times.
  Writer& zeros(size_t count);
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
