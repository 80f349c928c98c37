#include "container/earlier_use.h"

#include <algorithm>

#include "base/wide.h"
#include "container/user_time.h"

namespace vprocfs {
namespace {

/// Its age is of a moment before the reading, and its runtime was in the cgroup before it began.
constexpr uint64_t kSlackPerCpuUs = 2'000'000;

void raise(uint64_t& to, uint64_t at_least) { to = std::max(to, at_least); }

}  // namespace

uint64_t sum_of(const CpuUsageFacts& used) {
  return saturating_add(saturating_add(used.user_us, used.nice_us), used.system_us);
}

CpuUsageFacts seen_by(const CpuHistory& earlier) {
  CpuUsageFacts seen = earlier.seen;
  for (const CpuHistory::Cpu& cpu : earlier.cpus) {
    seen.per_cpu.push_back({cpu.id, cpu.seen_user_us, cpu.seen_system_us});
  }
  return seen;
}

bool can_be_own(const CpuUsageFacts& used, const CpuUsageFacts& seen, uint64_t uptime_us,
                size_t cpus) {
  const uint64_t own = saturating_sub(sum_of(used), sum_of(seen));
  return own <= saturating_mul(saturating_add(uptime_us, kSlackPerCpuUs), cpus);
}

void leave_out(CpuHistory& history, const CpuUsageFacts& used) {
  CpuUsageFacts& seen = history.seen;
  const UserTime time = user_time_after(seen, used);
  raise(seen.user_us, time.user_us);
  raise(seen.nice_us, time.nice_us);
  raise(seen.system_us, used.system_us);
  raise(seen.throttled_us, used.throttled_us);
  for (const PerCpuUsage& one : used.per_cpu) {
    // Entries stay few: most of a host's CPUs the container never ran on.
    if (one.user_us == 0 && one.system_us == 0) continue;
    CpuHistory::Cpu& cpu = cpu_at(history, one.cpu);
    raise(cpu.seen_user_us, one.user_us);
    raise(cpu.seen_system_us, one.system_us);
  }
}

}  // namespace vprocfs
