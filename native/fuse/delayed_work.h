#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "base/cpu_laps.h"
#include "base/result.h"
#include "base/threads.h"

namespace vprocfs {

/// Runs work later, on its own threads. Requests of a container that is over its budget wait here
/// without holding a worker thread. Work may block on its container's sources, so one thread is
/// always kept free for the work that is due next.
class DelayedWork {
 public:
  /// `laps`: of the thread. Work that nobody pays for says so there.
  using Work = std::function<void(CpuLaps& laps)>;

  /// `limit`: threads. Only tenants whose sources block at the same moment take one each: more than
  /// a node has.
  explicit DelayedWork(size_t limit = 1024) : threads_(limit, [this](size_t) { run(); }) {}
  ~DelayedWork();

  /// Error: there is no thread for it.
  Result<bool> start() { return threads_.start(1); }
  /// From now on nothing waits for its time.
  void hurry();
  /// Runs all that waits, each in its time if there is no hurry, and ends the threads.
  void stop();
  /// See Threads.
  void reinforce() { threads_.reinforce(); }

  /// Which work it is, for cancel(): when it is due, and a number, 0 of none.
  using Ticket = std::pair<uint64_t, uint64_t>;

  /// Runs `work` at `due_us` (CLOCK_BOOTTIME).
  Ticket post(uint64_t due_us, Work work) { return put(due_us, std::move(work), true); }
  /// For what may post itself again and again. The ticket of none: it is not run any more, because
  /// nothing waits any more.
  Ticket post_unless_stopping(uint64_t due_us, Work work) {
    return put(due_us, std::move(work), false);
  }
  /// Gives back what is not to be run; nullptr: it is run, or has been.
  Work cancel(const Ticket& ticket);

 private:
  Ticket put(uint64_t due_us, Work work, bool while_hurried);
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<Ticket, Work> waiting_;
  uint64_t last_number_ = 0;
  bool hurried_ = false;
  bool stopping_ = false;
  Threads threads_;
};

}  // namespace vprocfs
