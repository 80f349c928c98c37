#include "view/cpu_list.h"
#include "view/view.h"

namespace vprocfs {

/// /sys/devices/system/cpu/present (drivers/base/cpu.c): a machine that has room for more CPUs,
/// which are not plugged in.
void render_cpu_present(const Facts& facts, Writer& writer) {
  write_cpu_list(facts.shown_cpus, writer);
  writer.ch('\n');
}

}  // namespace vprocfs
