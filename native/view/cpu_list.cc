#include "view/cpu_list.h"

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

}  // namespace vprocfs
