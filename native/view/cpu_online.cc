#include "view/cpu_list.h"
#include "view/view.h"

namespace vprocfs {

/// /sys/devices/system/cpu/online (drivers/base/cpu.c).
void render_cpu_online(const Facts& facts, Writer& writer) {
  write_cpu_list(facts.shown_cpus, writer);
  writer.ch('\n');
}

}  // namespace vprocfs
