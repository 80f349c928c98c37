#include "source/process_stat.h"

#include <cstddef>

#include "base/words.h"
#include "source/parse.h"

namespace vprocfs {

std::string_view stat_field(std::string_view text, StatField field) {
  const size_t command_end = text.rfind(')');
  if (command_end == text.npos) return {};
  text.remove_prefix(command_end + 1);
  std::string_view word;
  constexpr auto kFirst = static_cast<int>(StatField::kState);
  for (int at = kFirst; at <= static_cast<int>(field); ++at) word = take_word(text);
  return trim(word);
}

std::optional<uint64_t> stat_number(std::string_view text, StatField field) {
  return parse_u64(stat_field(text, field));
}

}  // namespace vprocfs
