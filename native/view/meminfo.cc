#include "base/affix.h"
#include "base/wide.h"
#include "view/direct_map.h"
#include "view/memory_lines.h"
#include "view/memory_model.h"
#include "view/view.h"

namespace vprocfs {
namespace {

uint64_t value_of(const HostMeminfoLine& line, const MemoryLine* rule, const MemoryModel& m,
                  const DirectMap& direct_map, bool is_part) {
  if (is_hosts(m, rule)) return line.value;
  if (rule) return rule->figure ? m.*rule->figure : 0;
  const uint64_t page_kb = DirectMap::page_kb(line.label);
  if (page_kb == 0) return 0;
  return is_part ? direct_map.mapped_kb(page_kb) : line.value;
}

/// Where a value stands: after `label` columns, right-aligned in `value` more. Long values push.
struct Columns {
  size_t label, value;
};

Columns columns_of(std::string_view label) {
  // "%5lu" in fs/proc/meminfo.c and mm/hugetlb.c
  if (starts_with(label, "HugePages_") || label == "HardwareCorrupted" ||
      label == "EarlyMemtestBad") {
    return {19, 5};
  }
  // arch/powerpc/mm/book3s64/pgtable.c gives all DirectMap lines the same blanks
  if (label == "DirectMap64k") return {17, 8};
  return {16, 8};  // show_val_kb()
}

void write_line(const HostMeminfoLine& line, uint64_t value, Writer& writer) {
  const Columns columns = columns_of(line.label);
  writer.text(line.label).ch(':').left("", saturating_sub(columns.label, line.label.size() + 1));
  writer.right(value, columns.value).text(line.in_kb ? " kB\n" : "\n");
}

}  // namespace

/// /proc/meminfo (fs/proc/meminfo.c): the host's lines in the host's order.
void render_meminfo(const Facts& facts, Writer& writer) {
  if (!facts.host_meminfo) return;
  const HostMeminfo& host = *facts.host_meminfo;
  const MemoryModel model = memory_model(facts);
  const DirectMap direct_map(host, model.total);
  const bool is_part = model.limited || host.is_part;
  MemoryLines rules;
  for (const HostMeminfoLine& line : host.lines) {
    const MemoryLine* rule = rules.find(line.label);
    write_line(line, value_of(line, rule, model, direct_map, is_part), writer);
  }
}

}  // namespace vprocfs
