#include "container/cpu_move.h"

#include "base/wide.h"
#include "container/earlier_use.h"

namespace vprocfs {
namespace {

void take(uint64_t reading, uint64_t& seen, uint64_t& pending) {
  if (reading <= seen) return;
  pending = saturating_add(pending, reading - seen);
  seen = reading;
}

}  // namespace

void note_last(CpuHistory& history, const CpuUsageFacts& last) {
  // Before the first report it is not known what of it is the container's.
  if (history.uptime_us == 0) return;
  take(last.user_us, history.seen.user_us, history.pending_user_us);
  take(last.nice_us, history.seen.nice_us, history.pending_nice_us);
  take(last.system_us, history.seen.system_us, history.pending_system_us);
  take(last.throttled_us, history.seen.throttled_us, history.pending_steal_us);
  history.pending_steal_us =
      saturating_add(history.pending_steal_us, history.above.take(last.quotas_above));
}

void begin_elsewhere(CpuHistory& history, const CpuUsageFacts& first, bool is_time, bool is_quota,
                     uint64_t within_us, size_t cpus) {
  const uint64_t most = saturating_mul(within_us, cpus);
  const uint64_t throttled = first.throttled_us <= most ? 0 : first.throttled_us;
  const uint64_t throttled_seen = is_quota ? throttled : history.seen.throttled_us;
  if (is_time) {
    history.seen = {};
    for (CpuHistory::Cpu& cpu : history.cpus) cpu.seen_user_us = cpu.seen_system_us = 0;
    if (sum_of(first) > most) leave_out(history, first);
  }
  history.seen.throttled_us = throttled_seen;
  if (is_quota) history.above = QuotasAbove();
}

}  // namespace vprocfs
