#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock_tick.h"
#include "base/result.h"
#include "base/thread.h"
#include "container/task_load.h"
#include "source/tasks/task_counter.h"

namespace vprocfs {

/// How tasks are counted. Borrowed; outlives the sampler.
struct TaskCounting {
  const CgroupMounts* mounts = nullptr;
  int procfs_fd = -1, sysfs_fd = -1;
  bool bpf = true;  ///< false: never by a BPF program
};

/// Counts the tasks of containers whose load somebody reads: one pass for all of them every five
/// seconds, and more while somebody reads how many run now, on its own thread, which sleeps when
/// nobody has read a load for kIdleTimeoutUs.
class Sampler {
 public:
  /// How long a container is sampled after its load was last read.
  static constexpr uint64_t kIdleTimeoutUs = uint64_t{15} * 60 * 1000000;
  /// How often sysstat reads /proc/stat.
  static constexpr uint64_t kRegularUs = uint64_t{10} * 60 * 1000000;
  static_assert(kIdleTimeoutUs > kRegularUs + 2 * kLoadPeriodUs);
  /// What a pass may take where tasks are counted by reading files.
  static constexpr uint64_t kScanBudgetUs = 3000;
  /// How old figures may be before a reader has them counted again, and which part of a CPU all
  /// such passes may take.
  static constexpr uint64_t kFreshUs = kClockTickUs, kRefreshPart = 100;

  explicit Sampler(TaskCounting how) : how_(how) {}
  ~Sampler() { stop(); }

  /// Error: there is no thread for it.
  Result<bool> start();
  void stop();

  /// Somebody reads the load of a container now. Costs nothing where it is being counted already.
  void note_read(const std::shared_ptr<TaskLoad>& load, uint64_t boottime_us);
  /// Somebody reads how many tasks run. If that was counted a while ago, it is counted again at
  /// once, for the next reader. Does not wait.
  void refresh(uint64_t boottime_us);

  /// "bpf" or "scan" once something was counted; empty before.
  std::string counter() const;
  /// Why it is not "bpf"; empty when it is, or was not wanted.
  std::string fallback() const;
  /// Passes so far, and the time that they took.
  uint64_t passes() const { return passes_.load(std::memory_order_relaxed); }
  uint64_t spent_us() const { return spent_us_.load(std::memory_order_relaxed); }

 private:
  using Loads = std::vector<std::shared_ptr<TaskLoad>>;
  static constexpr uint64_t kAsked = UINT64_MAX;

  void run();
  Loads drop_unread(uint64_t boottime_us);
  uint64_t pass(const Loads& loads, bool sample);
  bool count(const std::vector<CountedCgroup>& cgroups, std::vector<TaskCount>& out);
  void choose();
  void fall_back(const Error& why);

  const TaskCounting how_;
  std::unique_ptr<TaskCounter> counter_;  ///< the thread's
  std::atomic<uint64_t> passes_{0}, spent_us_{0};
  /// When refresh() may ask for a pass, CLOCK_BOOTTIME; kAsked: one is to come soon.
  std::atomic<uint64_t> refresh_from_us_{0};
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::weak_ptr<TaskLoad>> sampled_;
  bool asked_ = false;  ///< a pass is to come before the next one is due
  bool stopping_ = false;
  std::string counter_name_, fallback_;
  Thread thread_;
};

}  // namespace vprocfs
