#include <algorithm>
#include <array>

#include "base/wide.h"
#include "view/cpu_ticks.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// The columns of a cpu line in the kernel's order (fs/proc/stat.c): user, nice, system, idle,
/// iowait, irq, softirq, steal, guest, guest_nice. What no cgroup tells stays 0.
constexpr size_t kKnownColumns = 10;
using Columns = std::array<uint64_t, kKnownColumns>;

Columns columns_of(const CpuCounters& counters) {
  Columns columns{};
  columns[0] = ticks(counters.user_us);
  columns[1] = ticks(counters.nice_us);
  columns[2] = ticks(counters.system_us);
  columns[3] = ticks(counters.idle_us);
  columns[7] = ticks(counters.steal_us);
  return columns;
}

/// The numbers of one cpu line: as many as the host's kernel has, 0 in columns newer than we know.
void write_columns(const Columns& columns, size_t count, Writer& writer) {
  for (size_t i = 0; i < count; ++i) writer.ch(' ').number(i < columns.size() ? columns[i] : 0);
  writer.ch('\n');
}

void write_cpu_lines(const CpuReport& report, size_t count, Writer& writer) {
  // The sum is made of the rounded figures, so that the per-CPU lines add up to it exactly. As on a
  // machine, CPUs that are no more shown are part of it.
  Columns sum{};
  const auto add = [&sum](const CpuCounters& counters) {
    const Columns columns = columns_of(counters);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] = saturating_add(sum[i], columns[i]);
  };
  for (const auto& cpu : report.cpus) add(cpu.counters);
  for (const CpuCounters& counters : report.hidden) add(counters);
  writer.text("cpu ");
  write_columns(sum, count, writer);
  for (const auto& cpu : report.cpus) {
    writer.text("cpu").number(cpu.id);
    write_columns(columns_of(cpu.counters), count, writer);
  }
}

/// The first number of a line. The node's interrupts, context switches and forks are nobody's
/// business in a container, and no cgroup counts them: those are constants.
uint64_t first_number(std::string_view key, const Facts& facts) {
  if (key == "btime") return facts.clock.btime_s;
  if (key == "processes") return 1;  // forks since boot: there has been one, init's
  if (key == "procs_running") return std::max<uint64_t>(facts.tasks.running, 1);
  if (key == "procs_blocked") return facts.tasks.blocked;
  return 0;
}

}  // namespace

/// /proc/stat (fs/proc/stat.c).
void render_stat(const Facts& facts, Writer& writer) {
  if (!facts.host_stat) return;
  write_cpu_lines(facts.cpu_report, facts.host_stat->cpu_columns, writer);
  for (const auto& line : facts.host_stat->lines) {
    writer.text(line.key);
    // Hosts with many devices have thousands of interrupts.
    if (line.columns > 0) {
      writer.ch(' ').number(first_number(line.key, facts)).zeros(line.columns - 1);
    }
    writer.ch('\n');
  }
}

}  // namespace vprocfs
