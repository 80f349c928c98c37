#include "view/cpu_list.h"
#include "view/view.h"

namespace vprocfs {

/// /sys/devices/system/cpu/possible (drivers/base/cpu.c): a machine that has room for no other
/// CPUs.
void render_cpu_possible(const Facts& facts, Writer& writer) {
  write_cpu_list(facts.shown_cpus, writer);
  writer.ch('\n');
}

}  // namespace vprocfs
