#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/result.h"
#include "base/thread.h"

namespace vprocfs {

/// Threads that all run one body. One of them always waits for work, so work that blocks holds up
/// one thread and no other work: when the last idle thread becomes busy, another is started, up to
/// a maximum. Up to one thread more than there are CPUs, this happens at once. Beyond that it takes
/// some milliseconds, and a thread is added only while fewer of them are runnable than there are
/// CPUs, because if many of them wait for a CPU, the work that each has taken waits too. If the
/// host cannot start a thread, the existing ones continue.
class Threads {
 public:
  /// Is given the number of its thread, from 0 on. When it returns the thread ends.
  using Body = std::function<void(size_t index)>;

  Threads(size_t limit, Body body);
  ~Threads();

  /// Starts `count` of them. Error: not even one is to be had.
  Result<bool> start(size_t count);
  /// For the body: before work that may take long, and after it.
  void busy();
  void idle();
  /// Tries again to start a thread if all are busy and none could be started. Called by threads
  /// that bring work, and from time to time, because threads that block cannot call it.
  void reinforce();
  /// Starts none from now on, and waits for the end of all. The caller has told them to end;
  /// `wake`, if any, is a signal that makes them look.
  void join(int wake = 0);

  size_t size() const { return size_.load(std::memory_order_relaxed); }
  bool any_idle() const { return idle_.load(std::memory_order_relaxed) > 0; }

 private:
  struct One {
    Thread thread;
    std::atomic<pid_t> id{0};  ///< of its thread; 0 until it runs
    bool ended = false;        ///< guarded by mutex_
  };
  Result<bool> add();
  /// Starts another thread, now or a little later. For when none is idle.
  void relieve();
  void look_out();
  /// Whether all threads are busy, and another one would find a CPU.
  bool may_help_locked() const;

  const size_t limit_, cpus_;
  const Body body_;
  std::atomic<size_t> idle_{0};
  std::atomic<size_t> size_{0};
  std::atomic<bool> watched_{false};  ///< the lookout looks whether all of them block
  std::condition_variable ended_;     ///< one of them has
  std::condition_variable watch_;     ///< watched_ or closed_ has become true
  std::mutex mutex_;                  ///< guards what follows
  bool closed_ = false;
  std::vector<std::unique_ptr<One>> all_;
  Thread lookout_;
};

}  // namespace vprocfs
