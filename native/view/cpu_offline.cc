#include "view/cpu_list.h"
#include "view/view.h"

namespace vprocfs {

/// /sys/devices/system/cpu/offline (drivers/base/cpu.c): those that there may be and that are not
/// online.
void render_cpu_offline(const Facts& facts, Writer& writer) {
  if (!facts.host_cpus) return;
  write_cpu_list(facts.host_cpus->possible.without(facts.shown_cpus), writer);
  writer.ch('\n');
}

}  // namespace vprocfs
