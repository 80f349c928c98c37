#include "container/cpu_history.h"

#include <algorithm>
#include <utility>

#include "base/shares.h"
#include "base/wide.h"
#include "container/cpu_use.h"
#include "container/user_time.h"

namespace vprocfs {
namespace {

/// Absurd readings are cut to what sums of them can hold: 35 years of uptime, on 1000 CPUs.
constexpr uint64_t kMaxUptimeUs = uint64_t{1} << 50;
constexpr uint64_t kMaxUseUs = uint64_t{1} << 60;

/// Use that may wait for a later report, per CPU. A quota's period is at most 1 s and its burst at
/// most the quota (kernel/sched/core.c, max_cfs_quota_period, tg_set_cfs_bandwidth), so no burst is
/// longer than two periods. More than that is from before the container's start or from CPUs that
/// it lost unseen: reported late, it would show a busy machine for hours.
constexpr uint64_t kMaxPendingPerCpuUs = 2'000'000;

bool all_zero(const CpuValues& values) {
  return std::all_of(values.begin(), values.end(), [](uint64_t value) { return value == 0; });
}

void grow(uint64_t& counter, uint64_t by) { counter = saturating_add(counter, by); }

/// How far `reading` is beyond the highest one so far, which it then becomes.
uint64_t take_delta(uint64_t reading, uint64_t& highest) {
  const uint64_t delta = saturating_sub(reading, highest);
  highest = std::max(highest, reading);
  return std::min(delta, kMaxUseUs);
}

auto place_of(CpuHistory& history, uint32_t id) {
  return std::lower_bound(history.cpus.begin(), history.cpus.end(), id,
                          [](const auto& cpu, uint32_t wanted) { return cpu.id < wanted; });
}

CpuHistory::Cpu* find_cpu(CpuHistory& history, uint32_t id) {
  const auto at = place_of(history, id);
  return at != history.cpus.end() && at->id == id ? &*at : nullptr;
}

/// Empty before the first report.
CpuSet cpus_of_last_report(const CpuHistory& history) {
  std::vector<uint32_t> ids;
  ids.reserve(history.cpus.size());
  for (const auto& cpu : history.cpus) {
    if (cpu.shown) ids.push_back(cpu.id);
  }
  return CpuSet(std::move(ids));
}

/// The CPUs that the interval up to now belongs to: those on the last report. One that goes now had
/// its part in it; for one that comes now see add_to_new().
CpuSet cpus_of_interval(const CpuHistory& history, const CpuSet& shown) {
  CpuSet last = cpus_of_last_report(history);
  if (last.empty()) return shown;
  return last;
}

/// Where on `cpus` the use of the host's CPU `id` is shown: on itself, else by its rank.
size_t fold(uint32_t id, const CpuSet& cpus, const CpuSet& host_cpuset) {
  const auto rank_in = [id](const CpuSet& set) {
    return static_cast<size_t>(std::lower_bound(set.ids().begin(), set.ids().end(), id) -
                               set.ids().begin());
  };
  if (cpus.contains(id)) return rank_in(cpus);
  return (host_cpuset.contains(id) ? rank_in(host_cpuset) : id) % cpus.size();
}

/// The proportions in which use falls on CPUs; all 0, or empty, where the kernel does not tell.
struct Weights {
  CpuValues user, system;

  bool known() const { return !all_zero(user); }
};

/// For how long each of the host's CPUs was used since the last sample, as the kernel tells it.
std::vector<PerCpuUsage> take_per_cpu(CpuHistory& history, const CpuSample& sample) {
  std::vector<PerCpuUsage> taken;
  taken.reserve(sample.usage.per_cpu.size());
  for (const PerCpuUsage& reading : sample.usage.per_cpu) {
    // Only CPUs that the container can run on get an entry, so that entries stay bounded.
    CpuHistory::Cpu* cpu = find_cpu(history, reading.cpu);
    if (cpu == nullptr && sample.host_cpuset.contains(reading.cpu)) {
      cpu = &cpu_at(history, reading.cpu);
    }
    if (cpu == nullptr) continue;
    taken.push_back({reading.cpu, take_delta(reading.user_us, cpu->seen_user_us),
                     take_delta(reading.system_us, cpu->seen_system_us)});
  }
  return taken;
}

/// The use of CPUs that are not among `cpus` falls on these.
Weights weights_of_all(const std::vector<PerCpuUsage>& per_cpu, const CpuSet& cpus,
                       const CpuSet& host_cpuset) {
  if (per_cpu.empty()) return {};
  Weights weights{CpuValues(cpus.size()), CpuValues(cpus.size())};
  for (const PerCpuUsage& use : per_cpu) {
    const size_t i = fold(use.cpu, cpus, host_cpuset);
    grow(weights.user[i], use.user_us);
    grow(weights.system[i], use.system_us);
  }
  // A kind that no CPU tells of (the totals are ahead of the per-CPU figures) follows the other.
  if (all_zero(weights.user)) weights.user = weights.system;
  if (all_zero(weights.system)) weights.system = weights.user;
  return weights;
}

/// The use of other CPUs is left out.
Weights weights_of_own(std::vector<PerCpuUsage> per_cpu, const CpuSet& cpus) {
  const auto is_other = [&cpus](const PerCpuUsage& use) { return !cpus.contains(use.cpu); };
  per_cpu.erase(std::remove_if(per_cpu.begin(), per_cpu.end(), is_other), per_cpu.end());
  return weights_of_all(per_cpu, cpus, cpus);
}

CpuValues reached(CpuHistory& history, const CpuSet& cpus, uint64_t CpuCounters::*field) {
  CpuValues values;
  values.reserve(cpus.size());
  for (const uint32_t id : cpus.ids()) values.push_back(cpu_at(history, id).counters.*field);
  return values;
}

/// All use not yet reported: that of earlier intervals and that since the last sample.
CpuUse take_use(CpuHistory& history, const CpuUsageFacts& usage) {
  const auto take = [](uint64_t pending, uint64_t reading, uint64_t& seen) {
    return std::min(pending, kMaxUseUs) + take_delta(reading, seen);
  };
  const UserTime now = user_time_after(history.seen, usage);
  return {take(history.pending_user_us, now.user_us, history.seen.user_us),
          take(history.pending_nice_us, now.nice_us, history.seen.nice_us),
          take(history.pending_system_us, usage.system_us, history.seen.system_us)};
}

void keep_pending(CpuHistory& history, const CpuUse& rest, size_t cpus) {
  const CpuUse kept = rest.at_most(saturating_mul(kMaxPendingPerCpuUs, cpus));
  history.pending_user_us = kept.user;
  history.pending_nice_us = kept.nice;
  history.pending_system_us = kept.system;
}

/// What quotas took since the last sample, as the kernel tells it.
uint64_t take_throttled(CpuHistory& history, const CpuUsageFacts& usage) {
  const uint64_t reading = usage.throttled_us;
  const uint64_t seen = std::exchange(history.seen.throttled_us, reading);
  // It begins at 0 again where the controller was disabled and enabled.
  const uint64_t told = reading < seen ? reading : reading - seen;
  return saturating_add(told, history.above.take(usage.quotas_above));
}

/// The throttled time to report of an interval in which CPUs had nothing to do for `room_us`; the
/// kernel has `told` so much.
uint64_t take_steal(CpuHistory& history, uint64_t told, uint64_t room_us, size_t cpus) {
  const uint64_t most = saturating_mul(kMaxPendingPerCpuUs, cpus);
  // The kernel sums it up over all CPUs that tasks are queued on, which may be more than are shown:
  // what CPUs had no time for, now or before, is not to be seen later.
  const uint64_t present = std::min(told, room_us);
  history.pending_steal_us += std::min(told - present, history.untold_us);
  history.pending_steal_us = std::min(history.pending_steal_us, most);
  const uint64_t before = told == 0 ? history.untold_us : 0;
  history.untold_us = std::min(saturating_add(before, room_us - present), most);
  const uint64_t late = std::min(room_us - present, history.pending_steal_us);
  history.pending_steal_us -= late;
  return present + late;
}

/// What each of `cpus` should be given of `use`, whether it has the time or not.
std::vector<CpuUse> share_out(const CpuUse& use, CpuHistory& history, const Weights& weights,
                              const CpuSet& cpus) {
  const bool known = weights.known();
  std::vector<CpuUse> out(cpus.size());
  const auto share = [&](uint64_t CpuUse::*kind, const CpuValues& by,
                         uint64_t CpuCounters::*field) {
    const uint64_t amount = use.*kind;
    if (amount == 0) return;
    const CpuValues parts =
        known ? split(amount, by) : split_evenly(amount, reached(history, cpus, field));
    for (size_t i = 0; i < out.size(); ++i) out[i].*kind = parts[i];
  };
  share(&CpuUse::user, weights.user, &CpuCounters::user_us);
  share(&CpuUse::nice, weights.user, &CpuCounters::nice_us);
  share(&CpuUse::system, weights.system, &CpuCounters::system_us);
  return out;
}

/// What one CPU gains in an interval of `dt`: all of it, one way or another.
CpuCounters gain_of(const CpuUse& use, uint64_t steal, uint64_t dt) {
  return {use.user, use.nice, use.system, dt - use.sum() - steal, steal};
}

constexpr uint64_t CpuCounters::*kFields[] = {&CpuCounters::user_us, &CpuCounters::nice_us,
                                              &CpuCounters::system_us, &CpuCounters::idle_us,
                                              &CpuCounters::steal_us};

void add(CpuCounters& to, const CpuCounters& gain) {
  for (const auto field : kFields) grow(to.*field, gain.*field);
}

/// Gives `added`, the CPUs that are not on the last report, the use that those on it had no time
/// for in an interval of `dt`, and no idle time. All fits.
void add_to_new(CpuHistory& history, const CpuUse& use, const std::vector<PerCpuUsage>& per_cpu,
                const CpuSet& added, uint64_t dt) {
  if (use.sum() == 0) return;
  std::vector<CpuUse> by_cpu = share_out(use, history, weights_of_own(per_cpu, added), added);
  fit(by_cpu, dt);
  for (size_t i = 0; i < added.size(); ++i) {
    add(cpu_at(history, added.ids()[i]).counters, gain_of(by_cpu[i], 0, by_cpu[i].sum()));
  }
}

bool is_zero(const CpuCounters& counters) {
  return std::all_of(std::begin(kFields), std::end(kFields),
                     [&](const auto field) { return counters.*field == 0; });
}

}  // namespace

CpuHistory::Cpu& cpu_at(CpuHistory& history, uint32_t id) {
  if (CpuHistory::Cpu* known = find_cpu(history, id)) return *known;
  const auto fresh = history.cpus.insert(place_of(history, id), CpuHistory::Cpu());
  fresh->id = id;
  return *fresh;
}

bool cpus_changed(const CpuHistory& history, const CpuSet& shown) {
  const CpuSet last = cpus_of_last_report(history);
  return !last.empty() && last != shown;
}

CpuReport advance(CpuHistory& history, const CpuSample& sample) {
  const CpuSet shown = sample.shown.empty() ? CpuSet({0}) : sample.shown;
  const CpuSet cpus = cpus_of_interval(history, shown);
  const uint64_t uptime = std::min(sample.uptime_us, kMaxUptimeUs);
  const uint64_t dt = saturating_sub(uptime, history.uptime_us);
  history.uptime_us = std::max(history.uptime_us, uptime);

  const CpuUse use = take_use(history, sample.usage);
  const CpuUse reported = use.at_most(saturating_mul(dt, std::max(cpus.size(), shown.size())));
  keep_pending(history, use.less(reported), shown.size());
  const CpuUse on_known = reported.at_most(saturating_mul(dt, cpus.size()));
  const std::vector<PerCpuUsage> per_cpu = take_per_cpu(history, sample);
  const Weights weights = weights_of_all(per_cpu, cpus, sample.host_cpuset);
  std::vector<CpuUse> by_cpu = share_out(on_known, history, weights, cpus);
  CpuValues room = fit(by_cpu, dt);
  const uint64_t throttled =
      take_steal(history, take_throttled(history, sample.usage), sum_of(room), cpus.size());
  const CpuValues steal = split_into(throttled, std::move(room));
  for (const uint32_t id : shown.ids()) cpu_at(history, id);
  for (size_t i = 0; i < cpus.size(); ++i) {
    add(cpu_at(history, cpus.ids()[i]).counters, gain_of(by_cpu[i], steal[i], dt));
  }
  add_to_new(history, reported.less(on_known), per_cpu, shown.without(cpus), dt);

  CpuReport report;
  report.cpus.reserve(shown.size());
  for (auto& cpu : history.cpus) {
    cpu.shown = shown.contains(cpu.id);
    if (cpu.shown) {
      report.cpus.push_back({cpu.id, cpu.counters});
    } else if (!is_zero(cpu.counters)) {
      report.hidden.push_back(cpu.counters);
    }
  }
  return report;
}

}  // namespace vprocfs
