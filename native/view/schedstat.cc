#include <algorithm>
#include <string>
#include <string_view>

#include "base/wide.h"
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

/// A mask as the kernel prints it ("ff,ffffffff") of the CPUs that are in both.
class Mask {
 public:
  Mask(std::string_view host, const CpuSet& shown) : text_(host) {
    uint32_t base = 0;
    for (auto digit = text_.rbegin(); digit != text_.rend(); ++digit) {
      if (*digit == ',') continue;
      const auto bits = static_cast<uint32_t>(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);
      uint32_t kept = 0;
      for (uint32_t bit = 0; bit < 4; ++bit) {
        if ((bits >> bit & 1) != 0 && shown.contains(base + bit)) {
          kept |= 1u << bit;
          ++count_;
        }
      }
      *digit = "0123456789abcdef"[kept];
      base += 4;
    }
  }

  const std::string& text() const { return text_; }
  size_t count() const { return count_; }

 private:
  std::string text_;
  size_t count_ = 0;
};

void write_zeros(size_t count, Writer& writer) {
  for (size_t i = 0; i < count; ++i) writer.text(" 0");
  writer.ch('\n');
}

/// The domains in which a machine of the shown CPUs would balance: those of more than one of them,
/// each of other CPUs than the one before.
void write_domains(const HostSchedstat::Cpu& cpu, const CpuSet& shown, Writer& writer) {
  std::string last;
  uint64_t index = 0;
  for (const auto& domain : cpu.domains) {
    const Mask mask(domain.mask, shown);
    if (mask.count() < 2 || mask.text() == last) continue;
    last = mask.text();
    const size_t blank = std::min(domain.name.find(' '), domain.name.size());
    writer.text("domain").number(index++).text(std::string_view(domain.name).substr(blank));
    writer.ch(' ').text(mask.text());
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
