#include <string>

#include "view/view.h"

namespace vprocfs {
namespace {

constexpr size_t kColumn = 11;  // "%10u" and the blank before or after it

void write_row(const HostCpuTable::Row& row, size_t cpus, Writer& writer) {
  writer.text(row.label);
  const size_t columns = row.per_cpu ? cpus : row.columns;
  for (size_t i = 0; i < columns; ++i) writer.right(0, i == 0 ? row.first : kColumn);
  writer.text(row.tail).ch('\n');
}

/// A table with a column for each shown CPU and the host's rows, all of it 0: no cgroup counts
/// interrupts.
void write_table(const HostCpuTable* table, const CpuSet& shown, Writer& writer) {
  if (!table) return;
  writer.left("", table->blanks);
  for (const uint32_t id : shown.ids()) writer.text("CPU").left(std::to_string(id), 8);
  writer.ch('\n');
  for (const auto& row : table->rows) write_row(row, shown.size(), writer);
}

}  // namespace

/// /proc/interrupts (kernel/irq/proc.c, show_interrupts).
void render_interrupts(const Facts& facts, Writer& writer) {
  write_table(facts.host_interrupts.get(), facts.shown_cpus, writer);
}

/// /proc/softirqs (fs/proc/softirqs.c).
void render_softirqs(const Facts& facts, Writer& writer) {
  write_table(facts.host_softirqs.get(), facts.shown_cpus, writer);
}

}  // namespace vprocfs
