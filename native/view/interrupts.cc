#include "view/cpu_table.h"
#include "view/view.h"

namespace vprocfs {

/// /proc/interrupts (kernel/irq/proc.c, show_interrupts).
void render_interrupts(const Facts& facts, Writer& writer) {
  if (facts.host_interrupts) write_cpu_table(*facts.host_interrupts, facts.shown_cpus, writer);
}

}  // namespace vprocfs
