#pragma once

#include <sys/types.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/affix.h"
#include "source/parse.h"

namespace vprocfs {

/// TASK_COMM_LEN without its end.
inline constexpr size_t kLongestName = 15;
inline constexpr std::string_view kDigits = "0123456789";
inline constexpr std::string_view kHex = "0123456789abcdef";

/// Cuts `start` off; false: it does not begin so.
inline bool take(std::string_view& text, std::string_view start) {
  if (!starts_with(text, start)) return false;
  text.remove_prefix(start.size());
  return true;
}

/// Cuts a number off.
inline std::optional<uint64_t> take_number(std::string_view& text) {
  const size_t end = std::min(text.find_first_not_of(kDigits), text.size());
  if (end == 0 || end > 19) return std::nullopt;
  const auto number = parse_u64(text.substr(0, end));
  text.remove_prefix(end);
  return number;
}

inline std::optional<pid_t> take_pid(std::string_view& text) {
  const auto number = take_number(text);
  if (!number || *number == 0 || *number > INT_MAX) return std::nullopt;
  return static_cast<pid_t>(*number);
}

}  // namespace vprocfs
