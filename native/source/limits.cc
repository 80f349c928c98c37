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

std::optional<Error> add_oom_kills(OpenCgroupFile& file, bool probe, ReadBuffer& buffer,
                                   MemoryFacts& facts) {
  constexpr const char* kKey = "oom_kill";
  const auto text = file.read(buffer, probe);
  if (!text) return text.error();
  for_each_line(text.value().value_or(""), [&](std::string_view line) {
    if (take_word(line) != kKey) return;
    if (const auto count = parse_u64(line)) facts.events.push_back({kKey, *count});
  });
  return std::nullopt;
}

}  // namespace vprocfs
