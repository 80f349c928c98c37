#include "klog/record.h"

#include <climits>

#include "source/parse.h"

namespace vprocfs {
namespace {

constexpr uint64_t kLevels = 8;

std::string_view take_field(std::string_view& text) {
  const size_t comma = text.find(',');
  const std::string_view field = text.substr(0, comma);
  text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
  return field;
}

/// "caller=T123": a thread; "caller=C1": a CPU.
pid_t caller_of(std::string_view field) {
  constexpr std::string_view kThread = "caller=T";
  if (!starts_with(field, kThread)) return 0;
  field.remove_prefix(kThread.size());
  const auto number = parse_u64(field.substr(0, field.find_first_not_of("0123456789")));
  return number && *number <= INT_MAX ? static_cast<pid_t>(*number) : 0;
}

}  // namespace

std::string unescape_record(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto escaped = hex_escape(text.substr(i));
    out.push_back(escaped.value_or(text[i]));
    if (escaped) i += 3;
  }
  return out;
}

std::string escape_record(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= ' ' && byte < 127 && c != '\\') {
      out.push_back(c);
      continue;
    }
    out += "\\x";
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

std::optional<LogRecord> parse_record(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  const std::string_view line = bytes.substr(0, end);
  const size_t semicolon = line.find(';');
  // Every record ends with a newline: one without was cut off.
  if (end == bytes.npos || semicolon == line.npos) return std::nullopt;
  LogRecord out;
  std::string_view prefix = line.substr(0, semicolon);
  const auto priority = parse_u64(take_field(prefix));
  const auto sequence = parse_u64(take_field(prefix));
  const auto time = parse_u64(take_field(prefix));
  if (!priority || !sequence || !time || *priority > UINT32_MAX) return std::nullopt;
  out.level = static_cast<uint8_t>(*priority % kLevels);
  out.facility = static_cast<uint32_t>(*priority / kLevels);
  out.sequence = *sequence;
  out.time_us = *time;
  out.fragment = take_field(prefix) == "c";
  while (!prefix.empty() && out.caller_task == 0) out.caller_task = caller_of(take_field(prefix));
  out.text = unescape_record(line.substr(semicolon + 1));
  return out;
}

}  // namespace vprocfs
