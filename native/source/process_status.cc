#include "source/process_status.h"

#include <charconv>
#include <system_error>

#include "base/affix.h"
#include "source/parse.h"

namespace vprocfs {

std::optional<std::string_view> status_field(std::string_view text, std::string_view name) {
  std::optional<std::string_view> found;
  for_each_line(text, [&](std::string_view line) {
    if (found || !starts_with(line, name)) return;
    line.remove_prefix(name.size());
    if (starts_with(line, ":")) found = trim(line.substr(1));
  });
  return found;
}

std::optional<uint64_t> status_mask(std::string_view text, std::string_view name) {
  const auto field = status_field(text, name);
  if (!field) return std::nullopt;
  uint64_t mask = 0;
  const char* const end = field->data() + field->size();
  const auto [stopped, code] = std::from_chars(field->data(), end, mask, 16);
  if (code != std::errc() || stopped != end) return std::nullopt;
  return mask;
}

std::vector<uint64_t> status_numbers(std::string_view text, std::string_view name) {
  std::vector<uint64_t> numbers;
  std::string_view rest = status_field(text, name).value_or(std::string_view());
  while (!rest.empty()) {
    const auto number = parse_u64(take_word(rest));
    if (!number) return {};
    numbers.push_back(*number);
    rest = trim(rest);
  }
  return numbers;
}

}  // namespace vprocfs
