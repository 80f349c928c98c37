#include "container/gather.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/affix.h"
#include "base/wide.h"
#include "container/cpu_model.h"
#include "container/earlier_use.h"

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

/// Whether the zero of a time namespace's clock of boot was chosen for the container: then the
/// kernel tells its uptime (fs/proc/uptime.c), and ours is the same. Where a container is restored
/// (CRIU) its clock goes on from wherever it was: mostly the node's, a little shifted.
bool begins_with_container(const ContainerClock& clock) {
  constexpr uint64_t kNearUs = uint64_t{2} * 86'400'000'000;
  // A zero before the node's own boot was not chosen here.
  if (clock.offset_us >= 0) return false;
  const auto start = static_cast<int64_t>(clock.init_start_us);
  const auto shifted = static_cast<uint64_t>(std::abs(clock.offset_us));
  const auto before = static_cast<uint64_t>(std::abs(start + clock.offset_us));
  return before <= kNearUs && shifted >= clock.init_start_us / 2;
}

bool is_disk(const HostDisk& disk) {
  constexpr uint32_t kRam = 1, kFloppy = 2, kLoop = 7, kCdrom = 11, kNbd = 43;
  const uint32_t major = disk.device.major;
  const bool is_real = major != kRam && major != kFloppy && major != kLoop && major != kCdrom;
  return is_real && major != kNbd && !starts_with(disk.name, "zram");
}

/// Programs take a machine without any disk for one that they cannot read (psutil). Where it is not
/// known what file systems lie on (ZFS, overlay), the host's first disk stands for it.
bool add_mounted(HostSource& host, MountedDevices& mounted, uint64_t now, Facts& facts,
                 Error& error) {
  auto disks = facts.host_diskstats;
  if (!disks && !take(host.diskstats(now), disks, error)) return error.code == ENOENT;
  for (const DeviceNumber device : mounted.at(now, *disks)) {
    if (facts.io.find(device) == nullptr) facts.io.devices.push_back({device});
  }
  const auto is_shown = [&](const HostDisk& disk) { return facts.io.find(disk.device) != nullptr; };
  if (std::any_of(disks->begin(), disks->end(), is_shown)) return true;
  const auto first = std::find_if(disks->begin(), disks->end(), is_disk);
  if (first != disks->end()) facts.io.devices.push_back({first->device});
  return true;
}

}  // namespace

bool gather_host_memory(HostSource& host, ContainerSource& source, uint64_t now, Facts& facts,
                        std::optional<CpuSet>& allowed, HostMemorySize& all, Error& error) {
  std::shared_ptr<const std::vector<HostNode>> nodes;
  if (!take(host.nodes(now), nodes, error)) return false;
  if (nodes->size() > 1 && !take(source.allowed_nodes(), allowed, error)) return false;
  if (!take(host.meminfo(now), facts.host_meminfo, error)) return false;
  all = memory_size(*facts.host_meminfo);
  return !allowed || take(host.meminfo_of(*allowed, now), facts.host_meminfo, error);
}

namespace {

/// What the pools have on these nodes.
std::shared_ptr<const std::vector<HostHugePool>> pools_on(const CpuSet& nodes,
                                                          const std::vector<HostHugePool>& all) {
  std::vector<HostHugePool> pools;
  for (const HostHugePool& pool : all) {
    HostHugePool& own = pools.emplace_back();
    own.page_kb = pool.page_kb;
    for (const HostHugePool::Node& node : pool.nodes) {
      if (!nodes.contains(node.id)) continue;
      own.nodes.push_back(node);
      own.pages += node.pages;
      own.free += node.free;
    }
  }
  return std::make_shared<const std::vector<HostHugePool>>(std::move(pools));
}

bool gather_memory(uint32_t needs, HostSource& host, ContainerSource& source, uint64_t now,
                   Facts& facts, Error& error) {
  std::optional<CpuSet> allowed;
  // A cgroup above the container may use nodes that the container may not.
  HostMemorySize all;
  if (!gather_host_memory(host, source, now, facts, allowed, all, error)) return false;
  if (!take(source.memory(events_of(needs), all), facts.memory, error)) return false;
  if (facts.memory.hugetlb.empty()) return true;
  if (!take(host.huge_pools(now), facts.huge_pools, error)) return false;
  if (facts.host_meminfo->is_part) facts.huge_pools = pools_on(*allowed, *facts.huge_pools);
  return true;
}

bool gather_cpus(uint32_t needs, HostSource& host, ContainerSource& source, Histories& histories,
                 uint64_t now, uint64_t uptime, Facts& facts, Error& error) {
  std::shared_ptr<const HostCpus> cpus;
  CpuLimitFacts limits;
  if (!take(host.cpus(now), cpus, error)) return false;
  if (!take(source.cpu_limits(), limits, error)) return false;
  facts.shown_cpus = shown_cpus(limits, *cpus);
  facts.bare_cpus = bare_cpus(limits, *cpus, facts.shown_cpus);
  facts.host_cpus = cpus;
  facts.bandwidth = limits.bandwidth;
  const bool is_asked = (needs & kNeedCpuReport) != 0;
  if (!is_asked && !cpus_changed(histories.cpu, facts.shown_cpus)) return true;
  CpuSample sample;
  // A view that does not show CPU time does not fail for the lack of it.
  if (!take(source.cpu_usage(), sample.usage, error)) return !is_asked;
  sample.uptime_us = uptime;
  sample.shown = facts.shown_cpus;
  sample.host_cpuset = std::move(limits.cpuset).value_or(cpus->online);
  const bool is_first = histories.cpu.uptime_us == 0;
  if (is_first && !can_be_own(sample.usage, histories.cpu.seen, uptime, cpus->possible.size())) {
    leave_out(histories.cpu, sample.usage);
  }
  facts.cpu_report = advance(histories.cpu, sample);
  histories.cpu_changed = true;
  return true;
}

bool gather_shapes(uint32_t needs, HostSource& host, uint64_t now, Facts& facts, Error& error) {
  // Totals of I/O count the host's disks.
  if (needs & kNeedTotals) needs |= kNeedHostDiskstats;
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  if (needs & kNeedHost##Name && !take(host.name(now), facts.host_##name, error)) return false;
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE
  return true;
}

/// A host without nodes has nothing to limit.
bool gather_nodes(uint32_t& needs, HostSource& host, uint64_t now, Facts& facts, Error& error) {
  if (!take(host.nodes(now), facts.host_nodes, error)) return false;
  if (facts.host_nodes->empty()) needs &= ~uint32_t{kNeedNodes};
  return true;
}

bool gather_cgroup_facts(uint32_t needs, ContainerSource& source, Facts& facts, Error& error) {
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) \
  if (needs & kNeed##Name && !take(source.name(), facts.name, error)) return false;
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS
  return true;
}

}  // namespace

uint64_t uptime_of(const ContainerClock& clock) {
  const uint64_t now = clock.now_us;
  if (!begins_with_container(clock)) {
    return saturating_sub(now, clock.init_start_us);
  }
  return static_cast<uint64_t>(std::max<int64_t>(static_cast<int64_t>(now) + clock.offset_us, 0));
}

/// A namespace shifts the start times of processes (fs/proc/array.c), wherever its zero is: dates
/// fit where that of boot is shifted the other way.
uint64_t btime_of(const ContainerClock& clock, uint64_t host_btime_s) {
  constexpr int64_t kUsPerSecond = 1'000'000;
  // The kernel takes the offset off the exact time of boot and then rounds down; of the host's it
  // tells whole seconds, so for fractions ours may be a second off.
  int64_t seconds = clock.offset_us / kUsPerSecond;
  if (clock.offset_us % kUsPerSecond < 0) --seconds;
  const int64_t btime = static_cast<int64_t>(host_btime_s) - seconds;
  return static_cast<uint64_t>(std::max<int64_t>(btime, 0));
}

void copy_memory(const Facts& from, Facts& to) {
  to.host_meminfo = from.host_meminfo;
  to.memory = from.memory;
  to.huge_pools = from.huge_pools;
}

void copy_cpus(const Facts& from, Facts& to) {
  to.shown_cpus = from.shown_cpus;
  to.bare_cpus = from.bare_cpus;
  to.host_cpus = from.host_cpus;
  to.bandwidth = from.bandwidth;
  to.cpu_report = from.cpu_report;
  to.clock = from.clock;
}

Result<Facts> gather(uint32_t needs, HostSource& host, ContainerSource& source,
                     Histories& histories, const ContainerClock& clock, MountedDevices& mounted,
                     const Gathered& before) {
  const ContainerSource::Joined joined(source);
  Facts facts;
  Error error;
  const uint64_t now = clock.now_us;
  uint64_t uptime = uptime_of(clock);
  if ((needs & (kNeedHostMeminfo | kAnyMemory)) == kNeedHostMeminfo &&
      !take(host.meminfo(now), facts.host_meminfo, error)) {
    return error;
  }
  if (needs & kNeedHostStat && !take(host.stat(now), facts.host_stat, error)) return error;
  if (needs & kNeedHostCpuinfo && !take(host.cpuinfo(now), facts.host_cpuinfo, error)) return error;
  if (const auto resource = pressure_needed(needs)) {
    if (!take(source.pressure(*resource), facts.pressure, error)) return error;
  }
  if (before.memory != nullptr && (needs & kAnyMemory) == kNeedMemory) {
    copy_memory(*before.memory, facts);
  } else if (needs & kAnyMemory && !gather_memory(needs, host, source, now, facts, error)) {
    return error;
  }
  if (!gather_shapes(needs, host, now, facts, error)) return error;
  if (needs & kNeedPageSize) {
    std::shared_ptr<const HostMeminfo> meminfo;
    if (!take(host.meminfo(now), meminfo, error)) return error;
    facts.page_kb = host.page_kb();
    facts.thp_kb = host.thp_kb(*meminfo);
  }
  histories.events_changed = events_of(needs) != MemoryEvents::kNone &&
                             advance(histories.events, source.memory_place(), facts.memory.events);
  const bool with_requests = (needs & kNeedIo) != 0;
  if (needs & kAnyIo && !take(source.io(with_requests), facts.io, error)) return error;
  std::shared_ptr<const std::vector<HostDisk>> disks;
  if (needs & kAnyIo && !histories.io_losses.unused.empty() &&
      !take(host.diskstats(now), disks, error) && error.code != ENOENT) {
    return error;
  }
  histories.io_losses_changed =
      needs & kAnyIo && histories.io_losses.restore(facts.io, with_requests, disks.get());
  histories.io_changed = false;
  histories.cpu_changed = false;
  if (needs & kNeedTotals) {
    histories.io_changed =
        advance(histories.io, facts.io, *facts.host_diskstats, host.disk_layers(), now).is_changed;
    facts.io_totals = histories.io.sums.totals();
  }
  if (needs & kNeedIo && !add_mounted(host, mounted, now, facts, error)) return error;
  if (needs & kNeedHostNodes && !gather_nodes(needs, host, now, facts, error)) return error;
  if (!gather_cgroup_facts(needs, source, facts, error)) return error;
  if (before.cpus != nullptr && needs & kAnyCpus) {
    copy_cpus(*before.cpus, facts);
    uptime = before.cpus->clock.uptime_us;
  } else if (needs & kAnyCpus &&
             !gather_cpus(needs, host, source, histories, now, uptime, facts, error)) {
    return error;
  }
  if (needs & kNeedClock) {
    facts.clock.uptime_us = uptime;
    if (facts.host_stat) facts.clock.btime_s = btime_of(clock, facts.host_stat->btime_s);
  }
  return facts;
}

}  // namespace vprocfs
