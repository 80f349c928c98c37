#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "fuse/reply.h"

namespace vprocfs {

/// Tells the kernel of files that became longer, before their OPEN is answered: sendfile(2) and
/// splice(2) read no further than the size the kernel knows. A thread of its own, since the notice
/// may wait for a page that another request is reading.
class Grower {
 public:
  explicit Grower(const Reply& reply);
  ~Grower();

  void start();
  /// Finishes what is queued and ends the thread.
  void stop();

  /// Queues: the size of `nodeid` becomes `size` (its last byte is `last`), then `after` runs.
  void grow(uint64_t nodeid, uint64_t size, char last, std::function<void()> after);

 private:
  struct Job {
    uint64_t nodeid, size;
    char last;
    std::function<void()> after;
  };
  void run();

  const Reply& reply_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vprocfs
