#include "view/view.h"
#include "view/vm_figures.h"
#include "view/zone_layout.h"

namespace vprocfs {
namespace {

/// What the kernel gives each number (mm/vmstat.c, frag_show_print: "%6lu ").
constexpr size_t kWidth = 6;

/// The free blocks of a zone with `pages` free, by size: as few as can be, since how far memory is
/// in pieces is known of the node only.
void write_blocks(uint64_t pages, size_t orders, Writer& writer) {
  for (size_t order = 0; order < orders; ++order) {
    const uint64_t blocks = pages >> order;
    writer.right(order + 1 == orders ? blocks : blocks & 1, kWidth).ch(' ');
  }
}

}  // namespace

/// /proc/buddyinfo (mm/vmstat.c, frag_show): the zones that /proc/zoneinfo shows with memory.
/// Blocks times their sizes are its free pages, and with them MemFree.
void render_buddyinfo(const Facts& facts, Writer& writer) {
  if (!facts.host_buddyinfo || !facts.host_zoneinfo || !facts.host_meminfo) return;
  const VmFigures figures(facts);
  const ZoneLayout layout(*facts.host_zoneinfo, figures.pages(figures.model().total),
                          facts.allowed_nodes);
  for (size_t i = 0; i < layout.zones().size(); ++i) {
    const Zone& zone = layout.zones()[i];
    if (zone.managed == 0) continue;
    writer.text(zone.host->title).ch(' ');
    write_blocks(layout.of_zone(figures.amount("nr_free_pages"), i), facts.host_buddyinfo->orders,
                 writer);
    writer.ch('\n');
  }
}

}  // namespace vprocfs
