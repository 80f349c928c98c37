#include "base/wide.h"
#include "source/controllers.h"
#include "source/parse.h"

namespace vprocfs {

void take_tighter(std::optional<CpuBandwidth>& least, const CpuBandwidth& next) {
  if (least && Wide{next.quota_us} * least->period_us >= Wide{least->quota_us} * next.period_us) {
    return;
  }
  least = next;
}

void take_lower(std::optional<uint64_t>& least, const std::optional<uint64_t>& next) {
  if (next && (!least || *next < *least)) least = next;
}

void add_event(std::string_view table, std::string_view key, MemoryFacts& facts) {
  for_each_line(table, [&](std::string_view line) {
    if (take_word(line) != key) return;
    if (const auto count = parse_u64(line)) facts.events.push_back({std::string(key), *count});
  });
}

}  // namespace vprocfs
