#include "container/idle_before.h"

#include "base/clock_tick.h"
#include "base/wide.h"

namespace vprocfs {
namespace {

uint64_t idle_between(uint64_t uptime_us, const IdleAtAge& from, const IdleAtAge& to) {
  if (uptime_us >= to.uptime_us) return to.idle_us;
  return from.idle_us + mul_div(saturating_sub(to.idle_us, from.idle_us),
                                saturating_sub(uptime_us, from.uptime_us),
                                to.uptime_us - from.uptime_us);
}

}  // namespace

IdleAtAge last_idle(const CpuHistory& history) {
  IdleAtAge last;
  last.uptime_us = history.uptime_us;
  for (const auto& cpu : history.cpus) {
    last.idle_us = saturating_add(last.idle_us, cpu.counters.idle_us);
  }
  return last;
}

uint64_t idle_before(uint64_t began_us, const IdleAtAge& before, const CpuHistory& now) {
  const uint64_t idle_us = began_us < before.uptime_us
                               ? idle_between(began_us, {}, before)
                               : idle_between(began_us, before, last_idle(now));
  // Both times are printed in whole ticks: in one that has only begun, each CPU may gain one.
  return saturating_add(idle_us, saturating_mul(now.cpus.size(), kClockTickUs));
}

}  // namespace vprocfs
