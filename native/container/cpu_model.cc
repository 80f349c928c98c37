#include "container/cpu_model.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace vprocfs {
namespace {

/// How many CPUs a quota amounts to: 800 % is 8, 250 % is 3.
uint64_t cpus_of(const CpuBandwidth& bandwidth) {
  const uint64_t period = std::max<uint64_t>(bandwidth.period_us, 1);
  const uint64_t whole = bandwidth.quota_us / period;
  return bandwidth.quota_us % period == 0 ? whole : whole + 1;
}

CpuSet usable_cpus(const CpuLimitFacts& limits, const HostCpus& host) {
  // A host whose sysfs tells nothing still has one CPU.
  if (host.online.empty()) return CpuSet({0});
  if (limits.cpuset) {
    CpuSet usable = limits.cpuset->intersect(host.online);
    if (!usable.empty()) return usable;
  }
  return host.online;
}

}  // namespace

CpuSet shown_cpus(const CpuLimitFacts& limits, const HostCpus& host) {
  CpuSet usable = usable_cpus(limits, host);
  if (!limits.bandwidth) return usable;
  const uint64_t count = std::max<uint64_t>(cpus_of(*limits.bandwidth), 1);
  if (count >= usable.size()) return usable;
  return usable.first(static_cast<size_t>(count));
}

CpuSet bare_cpus(const CpuLimitFacts& limits, const HostCpus& host, const CpuSet& shown) {
  std::vector<uint32_t> ids;
  const uint32_t highest = shown.empty() ? 0 : shown.ids().back();
  const CpuSet hidden = host.possible.without(shown);
  for (const uint32_t id : hidden.ids()) {
    if (id < highest) ids.push_back(id);
  }
  if (shown.size() == 1) {
    const CpuSet others = usable_cpus(limits, host).without(shown);
    if (!others.empty()) ids.push_back(others.ids().front());
  }
  return CpuSet(std::move(ids));
}

}  // namespace vprocfs
