#include "view/pressure_lines.h"
#include "view/view.h"

namespace vprocfs {

/// /proc/pressure/io: time in which tasks of the container waited for I/O.
void render_pressure_io(const Facts& facts, Writer& writer) {
  write_pressure(facts.pressure, writer);
}

}  // namespace vprocfs
