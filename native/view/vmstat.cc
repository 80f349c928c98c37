#include "view/view.h"
#include "view/vm_figures.h"

namespace vprocfs {

/// /proc/vmstat (mm/vmstat.c): the host's lines in the host's order. Amounts (nr_*) agree with
/// /proc/meminfo; events are those that the memory cgroup counts under the same name, pgpgin and
/// pgpgout the kB that the io cgroup counts; all others are 0.
void render_vmstat(const Facts& facts, Writer& writer) {
  if (!facts.host_vmstat || !facts.host_meminfo) return;
  const VmFigures figures(facts);
  for (const auto& line : facts.host_vmstat->lines) {
    const uint64_t value =
        VmFigures::is_amount(line.key) ? figures.amount(line.key) : figures.event(line.key);
    writer.text(line.key).ch(' ').number(value).ch('\n');
  }
}

}  // namespace vprocfs
