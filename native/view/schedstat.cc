#include <algorithm>
#include <string>
#include <string_view>

#include "base/wide.h"
#include "view/cpu_list.h"
#include "view/view.h"

namespace vprocfs {
namespace {

/// The place of the time for which tasks ran on a CPU, ns; the times for which they waited, and how
/// often either happened, no cgroup tells.
constexpr size_t kRunTime = 6;
constexpr size_t kUsualColumns = 9;

uint64_t run_time_ns(const CpuCounters& counters) {
  constexpr uint64_t kNsPerUs = 1000;
  const uint64_t us =
      saturating_add(saturating_add(counters.user_us, counters.nice_us), counters.system_us);
  return saturating_mul(us, kNsPerUs);
}

void write_zeros(size_t count, Writer& writer) { writer.zeros(count).ch('\n'); }

/// The domains in which a machine of the shown CPUs would balance: those of more than one of them,
/// each of other CPUs than the one before.
void write_domains(const HostSchedstat::Cpu& cpu, const CpuSet& shown, Writer& writer) {
  std::string last;
  uint64_t index = 0;
  for (const auto& domain : cpu.domains) {
    const CpuMap map = intersect_cpu_map(domain.mask, shown);
    if (map.count < 2 || map.text == last) continue;
    last = map.text;
    const size_t blank = std::min(domain.name.find(' '), domain.name.size());
    writer.text("domain").number(index++).text(std::string_view(domain.name).substr(blank));
    writer.ch(' ').text(map.text);
    write_zeros(domain.columns, writer);
  }
}

}  // namespace

/// /proc/schedstat (kernel/sched/stats.c): of each shown CPU the time that its tasks ran. The
/// timestamp is that of a machine which booted when the container began.
void render_schedstat(const Facts& facts, Writer& writer) {
  if (!facts.host_schedstat) return;
  const HostSchedstat& host = *facts.host_schedstat;
  const uint64_t initial = (uint64_t{1} << 32) - uint64_t{300} * host.hz;
  const uint64_t us_per_tick = 1'000'000 / host.hz;
  writer.text(host.version).text("\ntimestamp ");
  writer.number(saturating_add(initial, facts.clock.uptime_us / us_per_tick)).ch('\n');
  for (const auto& shown : facts.cpu_report.cpus) {
    const auto found = std::find_if(host.cpus.begin(), host.cpus.end(),
                                    [&](const auto& cpu) { return cpu.id == shown.id; });
    const bool known = found != host.cpus.end();
    const size_t columns = known ? found->columns : kUsualColumns;
    writer.text("cpu").number(shown.id);
    for (size_t i = 0; i < columns; ++i) {
      writer.ch(' ').number(i == kRunTime ? run_time_ns(shown.counters) : 0);
    }
    writer.ch('\n');
    if (known) write_domains(*found, facts.shown_cpus, writer);
  }
}

}  // namespace vprocfs
