#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>

#include "base/result.h"
#include "base/threads.h"

namespace vprocfs {

/// Sends notices about files to the kernel, on its own threads, because a notice may wait for a
/// page that another request is reading, so no thread that answers READs may send it. Used before
/// an OPEN is answered (if a file has become longer, because sendfile(2) and splice(2) read no
/// further than the size the kernel knows), when limits change (what the kernel has cached is
/// outdated), and for readers of a kernel log, because they may be thousands.
///
/// A reader can hold its page for long: it may wait for its own budget, or get no CPU time. So each
/// tenant has a lane: its notices go in order, one at a time, and no lane waits for another.
class Notifier {
 public:
  using Job = std::function<void()>;
  using Deadline = std::chrono::steady_clock::time_point;

  ~Notifier() { stop(); }

  /// Error: there is no thread for it.
  Result<bool> start() { return threads_.start(1); }
  /// Waits until nothing is queued or being sent, and no longer than until `by`.
  void settle(Deadline by);
  /// Takes no more, does what is queued in its other way, and waits likewise for what is being
  /// sent. To be done while requests are still taken: a notice may wait for the answer to a READ.
  void close(Deadline by);
  /// Finishes what is queued and ends the threads.
  void stop();
  /// See Threads.
  void reinforce() { threads_.reinforce(); }

  /// `lane`: any number that stands for the tenant. `instead`: what is done if it has not begun
  /// when no more is taken, maybe at once; nullptr: it is dropped then.
  void post(uint64_t lane, Job job, Job instead = nullptr);

  /// Notices that wait or are being sent.
  size_t pending() const;

 private:
  /// Only tenants that hold a page at the same moment take one each.
  static constexpr size_t kMaxThreads = 64;

  struct Notice {
    Job job, instead;
  };

  void run();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable settled_;  ///< nothing waits or is being sent any more
  /// A lane is there as long as it has jobs, or one that is being done.
  std::unordered_map<uint64_t, std::deque<Notice>> lanes_;
  std::deque<uint64_t> ready_;  ///< lanes with jobs, none of which is being done
  size_t pending_ = 0;
  bool closed_ = false;
  bool stopping_ = false;
  Threads threads_{kMaxThreads, [this](size_t) { run(); }};
};

}  // namespace vprocfs
