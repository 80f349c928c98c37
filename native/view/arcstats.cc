#include "view/view.h"

namespace vprocfs {

/// /proc/spl/kstat/zfs/arcstats (OpenZFS, kstat named): the host's names and types with all figures
/// 0. ZFS's cache is the node's, and nothing of it is charged to any cgroup: programs that take it
/// off the memory in use (htop, btop) would take it off the container's.
void render_arcstats(const Facts& facts, Writer& writer) {
  if (!facts.host_arcstats) return;
  const HostArcstats& host = *facts.host_arcstats;
  writer.text(host.heading);
  for (const HostArcstats::Line& line : host.lines) {
    // "%-31s %-4d " and the figure.
    writer.text(line.head).ch('0').ch('\n');
  }
}

}  // namespace vprocfs
