#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/threads.h"
#include "fuse/protocol.h"

namespace vprocfs {

/// Threads that take requests from a FUSE descriptor: a request that blocks holds one of them and
/// no other request.
class Loop {
 public:
  using Handler = std::function<void(const Request&)>;
  using OnEnd = std::function<void(const std::string& reason)>;

  /// Borrows the descriptor. `on_end` is called once, from a worker, when the connection ends by
  /// itself (unmounted or aborted).
  Loop(int fuse_fd, size_t max_threads, Handler handler, OnEnd on_end);
  ~Loop();

  /// Error: there is no thread for it.
  Result<bool> start();
  /// The connection will end on our own account: nobody needs to be told.
  void expect_end() { ended_ = true; }
  /// Takes no more requests, or one more with each thread that waits for it.
  void refuse() { stopping_.store(true, std::memory_order_release); }
  /// Stops taking requests, lets those in hand be answered, and joins all threads.
  void stop();

  /// True once the connection has ended by itself, or is about to be ended.
  bool ended() const { return ended_.load(std::memory_order_relaxed); }
  /// True while a thread waits for the next request: nothing is stuck behind those in hand.
  bool idle() const { return threads_.any_idle(); }
  size_t threads() const { return threads_.size(); }
  /// See Threads.
  void reinforce() { threads_.reinforce(); }

 private:
  void run();
  bool take(uint8_t* buffer, size_t& size);
  void end(const std::string& reason);

  const int fd_;
  const Handler handler_;
  const OnEnd on_end_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  Threads threads_;
};

}  // namespace vprocfs
