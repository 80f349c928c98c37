#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/cpu_laps.h"
#include "source/container_id.h"
#include "tenant/budget.h"
#include "tenant/cpu_contention.h"
#include "tenant/gate.h"
#include "tenant/log_writes.h"
#include "tenant/shared_resources.h"

namespace vprocfs {

/// What each tenant may have of the daemon in a second; 0: no limit.
struct TenantRates {
  uint64_t renders = 0;
  uint64_t calls = 0;   ///< system calls of it that are answered
  uint64_t cpu_us = 0;  ///< CPU time for its requests, µs
};

/// An outermost container, and what it shares with all containers nested in it. However many it
/// nests, it gets no more than a container that nests none. Thread-safe.
class Tenant {
 public:
  /// While others want the CPUs, a tenant has half of its CPU time. With a whole CPU at the
  /// service's weight, other containers' threads waited up to 350 ms on a machine with two CPUs.
  static constexpr uint64_t kContendedDivisor = 2;

  /// `shared` as TenantResources has it.
  Tenant(ContainerId id, SharedResources* shared, const TenantRates& rates)
      : id_(id),
        resources_(shared),
        renders_(rates.renders),
        calls_(rates.calls),
        cpu_(rates.cpu_us),
        contended_cpu_(rates.cpu_us / kContendedDivisor) {}

  /// Of the outermost container.
  ContainerId id() const { return id_; }
  /// Turn-taking of its requests.
  Gate& gate() { return gate_; }
  /// How often its files may be made anew.
  Budget& renders() { return renders_; }
  /// How often system calls of its processes are answered.
  Budget& calls() { return calls_; }
  /// CPU time that its requests take, µs.
  Budget& cpu() { return cpu_; }
  /// The same while others want the CPUs, too (contention()).
  Budget& contended_cpu() { return contended_cpu_; }
  /// What `took_us` of CPU time counts for then, µs.
  uint64_t counted_us(uint64_t took_us) const { return fair_share_.counted_us(took_us); }
  CpuContention& contention() { return contention_; }
  /// Others have begun to compete: of what the tenant used before, only a little counts.
  void start_contention(uint64_t now_us) { contended_cpu_.forgive(now_us, kContendedDebtUs); }
  /// CPU time that it was charged, µs.
  uint64_t charged_us() const { return charged_us_.load(std::memory_order_relaxed); }
  /// False: it is certainly within its budgets of CPU time. Takes no lock.
  bool may_be_over() const { return cpu_.is_low() || contended_cpu_.is_low(); }
  /// Begin and end a piece of a thread's work that the tenant pays for. It is measured exactly when
  /// the tenant may soon be over its budget of CPU time.
  void begin_lap(CpuLaps& laps) { laps.begin(is_measured_exactly()); }
  /// The same for one of which a part was done before it was known who pays. `since_ns`,
  /// CLOCK_MONOTONIC: when that began.
  void begin_lap(CpuLaps& laps, uint64_t since_ns) { laps.begin(is_measured_exactly(), since_ns); }
  /// `is_usual`: the piece counts for usual_lap_us().
  void charge_lap(CpuLaps& laps, bool is_usual = true) {
    const uint64_t took_us = laps.end_us();
    if (took_us == 0) return;
    const uint64_t now_us = boottime_us();
    if (FairShare* const fair_share = resources_.fair_share(); fair_share != nullptr) {
      fair_share_.note(*fair_share, now_us, took_us);
    }
    cpu_.charge(now_us, took_us);
    contended_cpu_.charge(now_us, counted_us(took_us));
    charged_us_.fetch_add(took_us, std::memory_order_relaxed);
    if (!is_usual) return;
    const uint64_t before_us = usual_lap_us_.load(std::memory_order_relaxed);
    const uint64_t usual_us = (7 * before_us + std::min(laps.took_us(), kMostUsualUs) + 7) / 8;
    usual_lap_us_.store(usual_us, std::memory_order_relaxed);
  }
  /// What a piece of work for it took lately, µs, at most kMostUsualUs.
  uint64_t usual_lap_us() const { return usual_lap_us_.load(std::memory_order_relaxed); }

  /// Its part of the shared resources.
  TenantResources& resources() { return resources_; }
  const TenantResources& resources() const { return resources_; }

  /// What may be written to its logs, and how many reads of them wait. Used by KmsgFiles only.
  LogWrites log_writes;
  size_t parked_reads = 0;
  /// How many of its triggers the kernel is still removing. Used by Triggers only.
  uint32_t closing_triggers = 0;
  /// When its containers were last checked for ended ones, CLOCK_BOOTTIME. Used by Registry only.
  uint64_t swept_us = 0;
  /// How many of them had not ended. Used by Registry only.
  std::atomic<uint64_t> swept_to{0};

 private:
  static constexpr int64_t kContendedDebtUs = 20'000;
  static constexpr uint64_t kMostUsualUs = 500;

  bool is_measured_exactly() const {
    // If CPU time is scaled up, a sampled piece, which is charged for sixteen, would be a long
    // debt.
    return fair_share_.is_scaled() || cpu_.is_low() ||
           (contended_cpu_.is_low() && contention_.seen());
  }

  const ContainerId id_;
  TenantResources resources_;
  Gate gate_;
  Budget renders_, calls_, cpu_, contended_cpu_;
  CpuContention contention_;
  std::atomic<uint64_t> charged_us_{0};
  FairShareMember fair_share_;
  std::atomic<uint64_t> usual_lap_us_{20};
};

}  // namespace vprocfs
