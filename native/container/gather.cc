#include "container/gather.h"

#include <algorithm>

#include "container/cpu_model.h"

namespace vprocfs {
namespace {

template <typename T>
bool take(Result<T> from, T& to, Error& error) {
  if (!from) {
    error = from.error();
    return false;
  }
  to = std::move(from.value());
  return true;
}

MemoryEvents events_of(uint32_t needs) {
  if (needs & kNeedTotals) return MemoryEvents::kAll;
  return needs & kNeedEvents ? MemoryEvents::kStat : MemoryEvents::kNone;
}

/// A container with a boottime offset has an uptime, a btime and start times of processes from the
/// kernel (fs/proc/uptime.c, stat.c, array.c), which agree: ours are the same.
void shift(const ContainerClock& clock, ClockFacts& facts) {
  constexpr int64_t kUsPerSecond = 1'000'000;
  const auto now = static_cast<int64_t>(clock.now_us);
  facts.uptime_us = static_cast<uint64_t>(std::max<int64_t>(now + clock.offset_us, 0));
  // The kernel takes the offset off the exact time of boot and then rounds down; of the host's it
  // tells whole seconds, so for fractions ours may be a second off.
  int64_t seconds = clock.offset_us / kUsPerSecond;
  if (clock.offset_us % kUsPerSecond < 0) --seconds;
  const int64_t btime = static_cast<int64_t>(facts.btime_s) - seconds;
  facts.btime_s = static_cast<uint64_t>(std::max<int64_t>(btime, 0));
}

bool gather_shapes(uint32_t needs, HostShapes& shapes, uint64_t now, Facts& facts, Error& error) {
  const auto wants = [needs](uint32_t bits) { return (needs & bits) != 0; };
  return (!wants(kNeedHostDisks | kNeedTotals) ||
          take(shapes.disks(now), facts.host_disks, error)) &&
         (!wants(kNeedHostPartitions) ||
          take(shapes.partitions(now), facts.host_partitions, error)) &&
         (!wants(kNeedHostVmstat) || take(shapes.vmstat(now), facts.host_vmstat, error)) &&
         (!wants(kNeedHostZoneinfo) || take(shapes.zoneinfo(now), facts.host_zoneinfo, error)) &&
         (!wants(kNeedHostBuddyinfo) || take(shapes.buddyinfo(now), facts.host_buddyinfo, error)) &&
         (!wants(kNeedHostSoftirqs) || take(shapes.softirqs(now), facts.host_softirqs, error)) &&
         (!wants(kNeedHostInterrupts) ||
          take(shapes.interrupts(now), facts.host_interrupts, error)) &&
         (!wants(kNeedHostSchedstat) || take(shapes.schedstat(now), facts.host_schedstat, error));
}

}  // namespace

Result<Facts> gather(uint32_t needs, HostSource& host, ContainerSource& source,
                     Histories& histories, const ContainerClock& clock) {
  const ContainerSource::Joined joined(source);
  Facts facts;
  Error error;
  const uint64_t now = clock.now_us;
  const uint64_t uptime = now > clock.init_start_us ? now - clock.init_start_us : 0;
  if (needs & kNeedHostMeminfo && !take(host.meminfo(now), facts.host_meminfo, error)) return error;
  if (needs & kNeedHostStat && !take(host.stat(now), facts.host_stat, error)) return error;
  if (needs & kNeedHostCpuinfo && !take(host.cpuinfo(now), facts.host_cpuinfo, error)) return error;
  if (needs & kNeedHostSwaps && !take(host.swaps(now), facts.host_swaps, error)) return error;
  if (const auto resource = pressure_needed(needs)) {
    if (!take(source.pressure(*resource), facts.pressure, error)) return error;
  }
  if (needs & (kNeedMemory | kNeedEvents | kNeedTotals) &&
      !take(source.memory(events_of(needs)), facts.memory, error)) {
    return error;
  }
  if (!gather_shapes(needs, host.shapes(), now, facts, error)) return error;
  if (needs & kNeedPageSize) {
    if (!facts.host_meminfo && !take(host.meminfo(now), facts.host_meminfo, error)) return error;
    facts.page_kb = host.shapes().page_kb(*facts.host_meminfo, now);
  }
  if (needs & (kNeedIo | kNeedTotals) && !take(source.io((needs & kNeedIo) != 0), facts.io, error))
    return error;
  histories.io_changed = false;
  if (needs & kNeedTotals) {
    histories.io_changed = advance(histories.io, facts.io, *facts.host_disks);
    facts.io_totals = histories.io.totals;
  }
  if (needs & kNeedNodes) {
    if (!take(host.nodes(now), facts.nodes.host, error)) return error;
    // A host without nodes has nothing to limit.
    if (!facts.nodes.host->empty() && !take(source.nodes(), facts.nodes.limits, error)) {
      return error;
    }
  }
  if (needs & (kNeedCpus | kNeedCpuReport)) {
    std::shared_ptr<const HostCpus> cpus;
    CpuLimitFacts limits;
    if (!take(host.cpus(now), cpus, error)) return error;
    if (!take(source.cpu_limits(), limits, error)) return error;
    facts.shown_cpus = shown_cpus(limits, *cpus);
    facts.bare_cpu = bare_cpu(limits, *cpus, facts.shown_cpus);
    facts.host_cpus = cpus;
    facts.bandwidth = limits.bandwidth;
    if (needs & kNeedCpuReport) {
      CpuSample sample;
      if (!take(source.cpu_usage(), sample.usage, error)) return error;
      sample.uptime_us = uptime;
      sample.shown = facts.shown_cpus;
      sample.host_cpuset = limits.cpuset.value_or(cpus->online);
      facts.cpu_report = advance(histories.cpu, sample);
    }
  }
  if (needs & kNeedClock) {
    facts.clock.uptime_us = uptime;
    if (facts.host_stat) facts.clock.btime_s = facts.host_stat->btime_s;
    if (clock.offset_us != 0) shift(clock, facts.clock);
  }
  return facts;
}

}  // namespace vprocfs
