#include "view/pressure_lines.h"
#include "view/view.h"

namespace vprocfs {

/// /proc/pressure/memory: time in which tasks of the container waited for memory.
void render_pressure_memory(const Facts& facts, Writer& writer) {
  write_pressure(facts.pressure, writer);
}

}  // namespace vprocfs
