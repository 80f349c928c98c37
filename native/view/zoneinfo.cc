#include <algorithm>
#include <string_view>

#include "base/wide.h"
#include "view/view.h"
#include "view/vm_figures.h"
#include "view/zone_layout.h"

namespace vprocfs {
namespace {

using Line = HostZoneinfo::Line;
using Part = HostZoneinfo::Part;

/// Writes the lines of one zone.
class ZoneText {
 public:
  ZoneText(const ZoneLayout& layout, const VmFigures& figures, const CpuSet& shown, Writer& writer)
      : layout_(layout), figures_(figures), shown_(shown), writer_(writer) {}

  void write(size_t index) {
    const Zone& zone = layout_.zones()[index];
    writer_.text(zone.host->title).ch('\n');
    bool cpus_written = false;
    for (const Line& line : zone.host->lines) {
      if (line.part == Part::kNode && zone.managed == 0) continue;
      if (line.key == "protection") {
        write_protection(line, index);
        // mm/vmstat.c: "If unpopulated, no other information is useful".
        if (zone.managed == 0) return;
      } else if (line.part != Part::kCpu) {
        write_line(line, value_of(line, zone, index));
      } else if (!cpus_written) {
        write_pagesets(zone);
        cpus_written = true;
      }
    }
  }

 private:
  void write_line(const Line& line, uint64_t value) {
    writer_.text(line.prefix);
    if (!line.values.empty()) writer_.number(value);
    writer_.ch('\n');
  }

  uint64_t value_of(const Line& line, const Zone& zone, size_t index) const {
    if (line.values.empty()) return 0;
    if (line.part == Part::kNode) {
      if (VmFigures::is_amount(line.key)) {
        return layout_.of_node(figures_.amount(line.key), zone.node);
      }
      return layout_.is_first(index) ? figures_.event(line.key) : 0;
    }
    if (line.part == Part::kAfter) return line.key == "start_pfn" ? line.values[0] : 0;
    if (line.key == "managed") return zone.managed;
    if (line.key == "free") return layout_.of_zone(figures_.amount("nr_free_pages"), index);
    for (const std::string_view size : {"min", "low", "high", "promo", "spanned", "present"}) {
      if (line.key == size) return scaled(line, zone);
    }
    return VmFigures::is_amount(line.key) ? layout_.of_zone(figures_.amount(line.key), index) : 0;
  }

  /// Sizes go with the size of the zone.
  static uint64_t scaled(const Line& line, const Zone& zone) {
    return mul_div(line.values[0], zone.managed, zone.host->managed());
  }

  /// What a zone keeps from requests for higher zones: a share of those zones' memory
  /// (mm/page_alloc.c, setup_per_zone_lowmem_reserve).
  void write_protection(const Line& line, size_t index) {
    const auto& zones = layout_.zones();
    size_t first = index;
    while (first > 0 && zones[first - 1].node == zones[index].node) --first;
    writer_.text(line.prefix).ch('(');
    uint64_t own = 0, host = 0;
    for (size_t i = 0; i < line.values.size(); ++i) {
      const size_t higher = first + i;
      const bool known = higher < zones.size() && zones[higher].node == zones[index].node;
      if (known && higher > index) {
        own = saturating_add(own, zones[higher].managed);
        host = saturating_add(host, zones[higher].host->managed());
      }
      if (i > 0) writer_.text(", ");
      writer_.number(zones[index].managed == 0 ? 0 : mul_div(line.values[i], own, host));
    }
    writer_.text(")\n");
  }

  /// The pages that each CPU keeps for itself: how many there are now is not shown.
  void write_pagesets(const Zone& zone) {
    for (const uint32_t cpu : shown_.ids()) {
      for (const Line& line : zone.host->lines) {
        if (line.part == Part::kCpu) write_line(line, pageset_value(line, zone, cpu));
      }
    }
  }

  static uint64_t pageset_value(const Line& line, const Zone& zone, uint32_t cpu) {
    if (line.values.empty()) return 0;
    if (line.key == "cpu") return cpu;
    if (line.key == "threshold") return line.values[0];
    if (line.key == "batch") return std::max<uint64_t>(scaled(line, zone), 1);
    // Since 6.7 the kernel moves `high` between two bounds as the CPU allocates and frees.
    if (line.key == "high") {
      for (const Line& bound : zone.host->lines) {
        if (bound.part == Part::kCpu && bound.key == "high_min") return scaled(bound, zone);
      }
      return scaled(line, zone);
    }
    return line.key == "high_min" || line.key == "high_max" ? scaled(line, zone) : 0;
  }

  const ZoneLayout& layout_;
  const VmFigures& figures_;
  const CpuSet& shown_;
  Writer& writer_;
};

}  // namespace

/// /proc/zoneinfo (mm/vmstat.c, zoneinfo_show_print): the zones of a machine of MemTotal, in the
/// host's form. Managed pages add up to MemTotal, free pages to MemFree.
void render_zoneinfo(const Facts& facts, Writer& writer) {
  if (!facts.host_zoneinfo || !facts.host_meminfo) return;
  const VmFigures figures(facts);
  const ZoneLayout layout(*facts.host_zoneinfo, figures.pages(figures.model().total),
                          facts.allowed_nodes);
  ZoneText text(layout, figures, facts.shown_cpus, writer);
  for (size_t i = 0; i < layout.zones().size(); ++i) text.write(i);
}

}  // namespace vprocfs
