#include "source/parse.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace vprocfs {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

std::optional<uint32_t> parse_cpu_id(std::string_view text) {
  if (text.empty() || !is_digit(text.front()) || !is_digit(text.back())) return std::nullopt;
  const auto id = parse_u64(text);
  if (!id || *id > kMaxCpuId) return std::nullopt;
  return static_cast<uint32_t>(*id);
}

}  // namespace

size_t count_words(std::string_view text) {
  size_t count = 0;
  while (!take_word(text).empty()) ++count;
  return count;
}

std::optional<uint64_t> parse_u64(std::string_view text) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  bool clamped = false;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    clamped = clamped || value > (UINT64_MAX - digit) / 10;
    if (!clamped) value = value * 10 + digit;
  }
  return clamped ? UINT64_MAX : value;
}

std::optional<uint64_t> parse_limit(std::string_view text) {
  const auto value = parse_u64(text);
  if (value && *value >= kNoLimitBytes) return std::nullopt;
  return value;
}

std::optional<CpuSet> parse_cpu_list(std::string_view text) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  std::vector<uint32_t> ids;
  while (true) {
    const size_t end = std::min(text.find(','), text.size());
    const std::string_view range = text.substr(0, end);
    const size_t dash = range.find('-');
    const auto low = parse_cpu_id(range.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : parse_cpu_id(range.substr(dash + 1));
    if (!low || !high || *low > *high) return std::nullopt;
    // Overlapping ranges in a hostile text must not make this larger than all ids there are.
    if (ids.size() > kMaxCpuId) return std::nullopt;
    const size_t before = ids.size();
    ids.resize(before + (*high - *low) + 1);
    std::iota(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end(), *low);
    if (end == text.size()) return CpuSet(std::move(ids));
    text.remove_prefix(end + 1);
  }
}

std::string unescape_octal(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      const int code = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      out.push_back(static_cast<char>(code));
      i += 3;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace vprocfs
