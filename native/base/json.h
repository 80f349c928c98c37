#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace vprocfs {

/// One string or number of a JSON document, as it is found.
struct JsonLeaf {
  std::string_view path;  ///< keys from the top, each after a slash: "/annotations/a.b"
  std::string value;      ///< unescaped; of numbers, true, false and null their text
  bool quoted = false;
};

/// Reads a JSON document (RFC 8259) and calls `leaf` for its values; elements of arrays have the
/// array's path. False: the text is not JSON, or is nested deeper than 64; the values before are
/// then to be ignored. Lone surrogates become "?".
bool read_json(std::string_view text, const std::function<void(const JsonLeaf&)>& leaf);

}  // namespace vprocfs
