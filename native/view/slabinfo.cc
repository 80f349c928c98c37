#include "view/view.h"

namespace vprocfs {

/// /proc/slabinfo (mm/slab_common.c, print_slabinfo_header): the heading alone. No cgroup tells its
/// caches any more, and those of the node are the node's.
void render_slabinfo(const Facts& facts, Writer& writer) {
  static_cast<void>(facts);
  writer.text(
      "slabinfo - version: 2.1\n"
      "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
      " : tunables <limit> <batchcount> <sharedfactor>"
      " : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
}

}  // namespace vprocfs
