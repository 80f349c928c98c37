#include "base/wide.h"
#include "view/cpu_ticks.h"
#include "view/view.h"

namespace vprocfs {

/// /proc/uptime (fs/proc/uptime.c): seconds since the container's init started, and the idle time
/// summed over the CPUs: what the idle column of /proc/stat's cpu line says in ticks, less what is
/// not of this clock.
void render_uptime(const Facts& facts, Writer& writer) {
  uint64_t idle = 0;
  const auto add = [&idle](const CpuCounters& counters) {
    idle = saturating_add(idle, ticks(counters.idle_us));
  };
  for (const auto& cpu : facts.cpu_report.cpus) add(cpu.counters);
  for (const CpuCounters& counters : facts.cpu_report.hidden) add(counters);
  idle = saturating_sub(idle, ticks(facts.clock.idle_before_us));
  writer.fixed(ticks(facts.clock.uptime_us), 2).ch(' ').fixed(idle, 2).ch('\n');
}

}  // namespace vprocfs
