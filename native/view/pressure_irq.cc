#include "view/pressure_lines.h"
#include "view/view.h"

namespace vprocfs {

/// /proc/pressure/irq: time in which interrupts of the host took CPUs from tasks of the container.
void render_pressure_irq(const Facts& facts, Writer& writer) {
  write_pressure(facts.pressure, writer);
}

}  // namespace vprocfs
