#include "container/gather.h"

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

}  // namespace

Result<Facts> gather(uint32_t needs, HostSource& host, ContainerSource& source, CpuHistory& history,
                     const ContainerClock& clock) {
  Facts facts;
  Error error;
  const uint64_t now = clock.now_us;
  const uint64_t uptime = now > clock.init_start_us ? now - clock.init_start_us : 0;
  if (needs & kNeedHostMeminfo && !take(host.meminfo(now), facts.host_meminfo, error)) return error;
  if (needs & kNeedHostStat && !take(host.stat(now), facts.host_stat, error)) return error;
  if (needs & kNeedHostCpuinfo && !take(host.cpuinfo(now), facts.host_cpuinfo, error)) return error;
  if (needs & kNeedHostSwaps && !take(host.swaps(now), facts.host_swaps, error)) return error;
  if (needs & kNeedMemory && !take(source.memory(), facts.memory, error)) return error;
  if (needs & (kNeedCpus | kNeedCpuReport)) {
    std::shared_ptr<const HostCpus> cpus;
    CpuLimitFacts limits;
    if (!take(host.cpus(now), cpus, error)) return error;
    if (!take(source.cpu_limits(), limits, error)) return error;
    facts.shown_cpus = shown_cpus(limits, *cpus);
    facts.bandwidth = limits.bandwidth;
    if (needs & kNeedCpuReport) {
      CpuSample sample;
      if (!take(source.cpu_usage(), sample.usage, error)) return error;
      sample.uptime_us = uptime;
      sample.shown = facts.shown_cpus;
      sample.host_cpuset = limits.cpuset.value_or(cpus->online);
      facts.cpu_report = advance(history, sample);
    }
  }
  if (needs & kNeedClock) {
    facts.clock.uptime_us = uptime;
    if (facts.host_stat) facts.clock.btime_s = facts.host_stat->btime_s;
  }
  return facts;
}

}  // namespace vprocfs
