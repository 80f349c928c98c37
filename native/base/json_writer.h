#pragma once

#include <charconv>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "base/utf8.h"

namespace vprocfs {

/// The most bytes that one byte of a string takes in JSON ("\u0000").
inline constexpr size_t kJsonEscapeBytes = 6;

/// Writes a JSON document (RFC 8259) to the end of `out`, with its commas, quotes and escapes.
/// `Text` is a std::string, or a FixedText where nothing may be allocated.
template <typename Text>
class JsonWriter {
 public:
  explicit JsonWriter(Text& out) : out_(out) {}

  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_array() { return begin('['); }
  JsonWriter& end_array() { return end(']'); }

  /// Before each value of an object.
  JsonWriter& key(std::string_view name) {
    text(name);
    put(':');
    needs_comma_ = false;
    return *this;
  }

  /// Any bytes, since names in containers are: those that are no UTF-8 become "\u00XX".
  JsonWriter& text(std::string_view value) {
    next();
    put('"');
    while (!value.empty()) {
      const size_t bytes = utf8_bytes(value);
      const char c = value[0];
      if (c == '"' || c == '\\') {
        put('\\');
        put(c);
      } else if (bytes == 0 || (bytes == 1 && (c < 0x20 || c == 0x7f))) {
        escape(c);
      } else {
        out_.append(value.data(), bytes);
      }
      value.remove_prefix(bytes == 0 ? 1 : bytes);
    }
    put('"');
    return *this;
  }

  template <typename Number>
  JsonWriter& number(Number value) {
    static_assert(std::is_integral_v<Number> && !std::is_same_v<Number, bool>);
    char digits[24];
    const auto [end, code] = std::to_chars(digits, digits + sizeof(digits), value);
    return word({digits, static_cast<size_t>(end - digits)});
  }

  JsonWriter& boolean(bool value) { return word(value ? "true" : "false"); }

 private:
  void put(char c) { out_.append(&c, 1); }

  /// Separates a value from the one before it.
  void next() {
    if (needs_comma_) put(',');
    needs_comma_ = true;
  }

  JsonWriter& begin(char bracket) {
    next();
    put(bracket);
    needs_comma_ = false;
    return *this;
  }

  JsonWriter& end(char bracket) {
    put(bracket);
    needs_comma_ = true;
    return *this;
  }

  JsonWriter& word(std::string_view value) {
    next();
    out_.append(value.data(), value.size());
    return *this;
  }

  void escape(char c) {
    constexpr char kDigits[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    const char escaped[kJsonEscapeBytes] = {
        '\\', 'u', '0', '0', kDigits[byte >> 4], kDigits[byte & 0xf]};
    out_.append(escaped, sizeof(escaped));
  }

  Text& out_;
  bool needs_comma_ = false;
};

}  // namespace vprocfs
