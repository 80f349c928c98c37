#include "view/cpu_list.h"
#include "view/view.h"

namespace vprocfs {

/// /sys/devices/system/cpu/possible (drivers/base/cpu.c): the host's. It is a promise about the ids
/// that threads will ever see: libraries size arrays by it and index them by the CPU that a thread
/// is on, which a quota does not decide.
void render_cpu_possible(const Facts& facts, Writer& writer) {
  if (!facts.host_cpus) return;
  write_cpu_list(facts.host_cpus->possible, writer);
  writer.ch('\n');
}

}  // namespace vprocfs
