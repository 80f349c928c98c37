#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "base/threads.h"

namespace vprocfs {

/// Work that may wait long, each piece in a lane: those of one lane are done in order, one at a
/// time, and no lane waits for another. Work that blocks keeps one thread, so that a tenant whose
/// work has one lane keeps one at most.
class Lanes {
 public:
  using Job = std::function<void()>;
  using Deadline = std::chrono::steady_clock::time_point;

  /// `begin`: what each thread does first.
  explicit Lanes(std::function<void()> begin) : begin_(std::move(begin)) {}
  ~Lanes() { stop(); }

  /// Error: there is no thread for it.
  Result<bool> start() { return threads_.start(1); }
  /// Waits until nothing is queued or being done, and no longer than until `by`.
  void settle(Deadline by);
  /// Takes no more, does what is queued in its other way, and waits likewise for what is being
  /// done.
  void close(Deadline by);
  /// Finishes what is queued and ends the threads.
  void stop();
  /// See Threads.
  void reinforce() { threads_.reinforce(); }

  /// `instead`: what is done if it has not begun when no more is taken, maybe at once; nullptr: it
  /// is dropped then.
  void post(uint64_t lane, Job job, Job instead = nullptr);

  /// Pieces of work that wait or are being done.
  size_t pending() const;

 private:
  /// Only lanes that block at the same moment take one each: more than a node has tenants.
  static constexpr size_t kMaxThreads = 1024;

  struct Work {
    Job job, instead;
  };

  void run();

  const std::function<void()> begin_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable settled_;  ///< nothing waits or is being done any more
  /// A lane is there as long as it has jobs, or one that is being done.
  std::unordered_map<uint64_t, std::deque<Work>> lanes_;
  std::deque<uint64_t> ready_;  ///< lanes with jobs, none of which is being done
  size_t pending_ = 0;
  bool closed_ = false;
  bool stopping_ = false;
  Threads threads_{kMaxThreads, [this](size_t) { run(); }};
};

}  // namespace vprocfs
