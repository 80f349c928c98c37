#include "view/cpu_table.h"
#include "view/view.h"

namespace vprocfs {

/// /proc/softirqs (fs/proc/softirqs.c).
void render_softirqs(const Facts& facts, Writer& writer) {
  if (facts.host_softirqs) write_cpu_table(*facts.host_softirqs, facts.shown_cpus, writer);
}

}  // namespace vprocfs
