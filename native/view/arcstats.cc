#include "view/view.h"

namespace vprocfs {

/// /proc/spl/kstat/zfs/arcstats (OpenZFS, kstat named): the host's names and types with all figures
/// 0. ZFS's cache is the node's, and nothing of it is charged to any cgroup: programs that take it
/// off the memory in use (htop, btop) would take it off the container's.
void render_arcstats(const Facts& facts, Writer& writer) {
  if (!facts.host_arcstats) return;
  writer.text(facts.host_arcstats->heading);
  for (const std::string& head : facts.host_arcstats->heads) {
    // "%-31s %-4d " and the figure.
    writer.text(head).ch('0').ch('\n');
  }
}

}  // namespace vprocfs
