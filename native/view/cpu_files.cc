#include "view/cpu_list.h"
#include "view/view.h"

// Files of /sys/devices/system/cpu (drivers/base/cpu.c): a machine that has room for more CPUs,
// which are not plugged in.

namespace vprocfs {

/// online, present
void render_shown_cpus(const Facts& facts, Writer& writer) {
  write_cpu_list(facts.shown_cpus, writer);
  writer.ch('\n');
}

/// Those that there may be and that are not online.
void render_offline_cpus(const Facts& facts, Writer& writer) {
  if (!facts.host_cpus) return;
  write_cpu_list(facts.host_cpus->possible.without(facts.shown_cpus), writer);
  writer.ch('\n');
}

/// The host's: a promise about the ids that threads will ever see. Libraries size arrays by it and
/// index them by the CPU that a thread is on, which a quota does not decide.
void render_possible_cpus(const Facts& facts, Writer& writer) {
  if (!facts.host_cpus) return;
  write_cpu_list(facts.host_cpus->possible, writer);
  writer.ch('\n');
}

}  // namespace vprocfs
