#include "view/pressure_lines.h"
#include "view/view.h"

namespace vprocfs {

/// /proc/pressure/cpu: time in which tasks of the container waited for CPUs.
void render_pressure_cpu(const Facts& facts, Writer& writer) {
  write_pressure(facts.pressure, writer);
}

}  // namespace vprocfs
