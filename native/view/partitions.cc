#include "view/view.h"

namespace vprocfs {

/// /proc/partitions (block/genhd.c, show_partition): the devices of /proc/diskstats that have a
/// size.
void render_partitions(const Facts& facts, Writer& writer) {
  if (!facts.host_partitions) return;
  writer.text("major minor  #blocks  name\n\n");
  for (const HostPartition& partition : *facts.host_partitions) {
    if (facts.io.find(partition.device) == nullptr) continue;
    writer.right(partition.device.major, 4).text("  ").right(partition.device.minor, 7);
    writer.ch(' ').right(partition.blocks, 10).ch(' ').text(partition.name).ch('\n');
  }
}

}  // namespace vprocfs
