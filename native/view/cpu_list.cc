#include "view/cpu_list.h"

#include "base/words.h"

namespace vprocfs {

void write_cpu_list(const CpuSet& cpus, Writer& writer) {
  const auto& ids = cpus.ids();
  for (size_t first = 0; first < ids.size();) {
    size_t last = first;
    while (last + 1 < ids.size() && ids[last + 1] - ids[last] == 1) ++last;
    if (first > 0) writer.ch(',');
    writer.number(ids[first]);
    if (last > first) writer.ch('-').number(ids[last]);
    first = last + 1;
  }
}

CpuMap intersect_cpu_map(std::string_view map, const CpuSet& cpus) {
  CpuMap out{std::string(map)};
  uint32_t first = 0;
  for (size_t i = map.size(); i-- > 0;) {
    const int digit = hex_digit(map[i]);
    if (digit < 0) continue;
    unsigned kept = 0;
    for (uint32_t bit = 0; bit < 4; ++bit) {
      if ((digit >> bit & 1) == 0 || !cpus.contains(first + bit)) continue;
      kept |= 1u << bit;
      ++out.count;
    }
    out.text[i] = "0123456789abcdef"[kept];
    first += 4;
  }
  return out;
}

}  // namespace vprocfs
