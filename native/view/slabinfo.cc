#include <algorithm>

#include "view/memory_lines.h"
#include "view/memory_model.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// A cache of objects that are a page large, one to a slab (mm/slab_common.c, cache_show).
void write_cache(std::string_view name, uint64_t pages, uint64_t page_bytes, Writer& writer) {
  writer.left(name, 17).ch(' ').right(pages, 6).ch(' ').right(pages, 6).ch(' ');
  writer.right(page_bytes, 6).ch(' ').right(1, 4).ch(' ').right(1, 4);
  writer.text(" : tunables ").right(0, 4).ch(' ').right(0, 4).ch(' ').right(0, 4);
  writer.text(" : slabdata ").right(pages, 6).ch(' ').right(pages, 6).ch(' ').right(0, 6).ch('\n');
}

}  // namespace

/// /proc/slabinfo (mm/slab_common.c, slab_show). No cgroup tells its caches any more, and those of
/// the node are the node's: there are two, which are as large as SReclaimable and SUnreclaim say.
/// There is an object at least, since slabtop(1) divides by their number.
void render_slabinfo(const Facts& facts, Writer& writer) {
  writer.text(
      "slabinfo - version: 2.1\n"
      "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
      " : tunables <limit> <batchcount> <sharedfactor>"
      " : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
  if (!facts.host_meminfo) return;
  const MemoryModel model = memory_model(facts);
  const auto pages = [&](std::string_view label) {
    return shown_in(model, *facts.host_meminfo, label) / facts.page_kb;
  };
  const uint64_t reclaimable = pages("SReclaimable");
  const uint64_t unreclaimable = pages("SUnreclaim");
  const uint64_t page_bytes = facts.page_kb * 1024;
  write_cache("reclaimable", reclaimable, page_bytes, writer);
  write_cache("unreclaimable", std::max<uint64_t>(unreclaimable, reclaimable == 0 ? 1 : 0),
              page_bytes, writer);
}

}  // namespace vprocfs
