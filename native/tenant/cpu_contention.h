#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>

namespace vprocfs {

class HostSource;
class Tenant;

/// Whether others than one tenant compete for the node's CPUs. Thread-safe.
class CpuContention {
 public:
  /// What has been used up to now, µs.
  struct Use {
    uint64_t at_us = 0;        ///< now, CLOCK_BOOTTIME
    uint64_t cpus = 0;         ///< of the node
    uint64_t idle_us = 0;      ///< the idle time of all CPUs together
    uint64_t kernel_us = 0;    ///< by interrupts, and by other machines of the hypervisor
    uint64_t requests_us = 0;  ///< by the daemon, for the tenant's requests
    /// By the tenant. Nothing: it cannot be read, or not soon enough; it counts as 0 then.
    std::optional<uint64_t> tenant_us;
  };

  /// True for one caller every 250 ms, which must note() the use; false for others until then.
  bool claim(uint64_t now_us);
  /// `tenant_us`: as in Use, read a moment ago. Nothing: the node's times cannot be read.
  static std::optional<Use> use_of(HostSource& host, const Tenant& tenant,
                                   std::optional<uint64_t> tenant_us);

  /// Others compete for the CPUs if, since the previous note() (at most 2 s ago), less than a tenth
  /// of the node was idle, and they used a fifth of a CPU or the requests left them less than half
  /// of one. The kernel reports these times in steps of 10 ms. `when_new` is called if nobody
  /// competed before, and before any() reports it.
  void note(const std::optional<Use>& use, const std::function<void()>& when_new);

  /// Whether others competed at the last note().
  bool seen() const { return seen_.load(std::memory_order_relaxed); }
  /// Whether others compete, or did within the last second. True also while a measurement takes so
  /// long that it is not known.
  bool any(uint64_t now_us) const;

 private:
  std::atomic<uint64_t> due_us_{0}, lasts_until_us_{0};
  std::atomic<bool> measuring_{false}, seen_{false};
  std::mutex mutex_;
  Use last_;  ///< guarded by mutex_
};

}  // namespace vprocfs
