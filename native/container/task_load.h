#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "container/life_record.h"
#include "container/load_history.h"
#include "facts/cpu.h"
#include "source/tasks/task_counter.h"
#include "state/state_file.h"

namespace vprocfs {

/// The tasks and the load of one container: what the sampler last found, for whoever asks.
/// Thread-safe.
class TaskLoad {
 public:
  /// `key` and `starts` name the container in the state file, which may be nullptr. What a worker
  /// before us left there is gone on with.
  TaskLoad(CountedCgroup cgroup, uint64_t key, const LifeStarts& starts, StateFile* state);
  ~TaskLoad();

  const CountedCgroup& cgroup() const { return cgroup_; }

  /// The latest figures; those of an idle container until there are some. Never blocks.
  TaskFacts latest() const;

  /// Waits until there are figures, but no longer than `limit`.
  void wait(std::chrono::milliseconds limit) const;

  /// The container is gone: nobody will go on with its averages.
  void end() { ended_ = true; }

  // What follows is the sampler's.

  /// Takes what was counted. `sample`: a period of the averages is over.
  void take(const TaskCount& count, uint64_t monotonic_us, uint64_t boottime_us, bool sample);
  /// Figures get old from now on: they are not to be shown any more.
  void pause();
  /// Nothing more will come: nobody is to wait.
  void give_up();

  std::atomic<uint64_t> asked_us{0};  ///< when somebody asked last, CLOCK_BOOTTIME
  std::atomic<bool> enrolled{false};  ///< is among those that are counted

 private:
  const CountedCgroup cgroup_;
  const uint64_t start_us_;
  std::atomic<bool> ended_{false};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool current_ = false;  ///< `figures_` are of the last pass
  bool given_up_ = false;
  TaskFacts figures_;
  LoadHistory history_;
  LifeRecord record_;
};

}  // namespace vprocfs
