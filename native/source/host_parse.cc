#include "source/host_parse.h"

#include <algorithm>

#include "base/wide.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// "cpu", "cpu0", "cpu17".
bool is_cpu_line(std::string_view key) {
  if (!starts_with(key, "cpu")) return false;
  return key.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

}  // namespace

HostMeminfo parse_meminfo(std::string_view text) {
  constexpr size_t kUsualLines = 64;
  HostMeminfo info;
  info.lines.reserve(kUsualLines);
  for_each_line(text, [&](std::string_view line) {
    const size_t colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos) return;
    std::string_view rest = line.substr(colon + 1);
    const auto value = parse_u64(take_word(rest));
    if (!value) return;
    info.lines.push_back({std::string(line.substr(0, colon)), *value, trim(rest) == "kB"});
  });
  return info;
}

uint64_t parse_arc_kb(std::string_view text) {
  uint64_t size = 0, least = 0, evictable = 0;
  for_each_line(text, [&](std::string_view line) {
    const std::string_view key = take_word(line);
    take_word(line);  // its type
    const uint64_t value = parse_u64(take_word(line)).value_or(0);
    if (key == "size") size = value;
    if (key == "c_min") least = value;
    // Lists of ghosts are of what was evicted.
    const bool is_ghost = key.find("_ghost_") != std::string_view::npos;
    const bool is_evictable =
        ends_with(key, "_evictable_data") || ends_with(key, "_evictable_metadata");
    if (is_evictable && !is_ghost) evictable = saturating_add(evictable, value);
  });
  return std::min(evictable, saturating_sub(size, least)) / 1024;
}

std::optional<HostStat> parse_stat(std::string_view text) {
  HostStat stat;
  bool has_cpu = false;
  for_each_line(text, [&](std::string_view line) {
    const std::string_view key = take_word(line);
    if (key.empty()) return;
    const size_t columns = count_words(line);
    if (key == "cpu") {
      has_cpu = true;
      stat.cpu_columns = columns;
    }
    if (is_cpu_line(key)) return;
    if (key == "btime") stat.btime_s = parse_u64(line).value_or(0);
    stat.lines.push_back({std::string(key), columns});
  });
  if (!has_cpu) return std::nullopt;
  return stat;
}

}  // namespace vprocfs
