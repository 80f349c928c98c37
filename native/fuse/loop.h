#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/thread.h"
#include "fuse/protocol.h"

namespace vprocfs {

/// Threads that take requests from a FUSE descriptor. There is always one that waits: when the last
/// idle one takes a request another is started, up to a maximum, so that a request that blocks
/// holds one thread and no other request. While the host has no thread to give, those that there
/// are go on.
class Loop {
 public:
  using Handler = std::function<void(const Request&)>;
  using OnEnd = std::function<void(const std::string& reason)>;

  /// Borrows the descriptor. `on_end` is called once, from a worker, when the connection ends by
  /// itself (unmounted or aborted).
  Loop(int fuse_fd, size_t max_threads, Handler handler, OnEnd on_end);
  ~Loop();

  void start();
  /// The connection will end on our own account: nobody needs to be told.
  void expect_end() { ended_ = true; }
  /// Stops taking requests, lets those in hand be answered, and joins all threads.
  void stop();

  /// True once the connection has ended by itself, or is about to be ended.
  bool ended() const { return ended_.load(std::memory_order_relaxed); }
  /// True while a thread waits for the next request: nothing is stuck behind those in hand.
  bool idle() const { return idle_.load(std::memory_order_relaxed) > 0; }
  size_t threads() const { return thread_count_.load(std::memory_order_relaxed); }

 private:
  struct Worker {
    Thread thread;
    std::atomic<bool> done{false};
  };
  void spawn();
  void run(Worker& self);
  bool take(uint8_t* buffer, size_t& size);
  void end(const std::string& reason);

  const int fd_;
  const size_t max_threads_;
  const Handler handler_;
  const OnEnd on_end_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  std::atomic<size_t> idle_{0};
  std::atomic<size_t> thread_count_{0};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace vprocfs
