#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace vprocfs {

/// Runs work later, on a thread of its own: requests of a container that is over its budget wait
/// here and hold no worker.
class Pacer {
 public:
  using Work = std::function<void()>;

  ~Pacer();

  void start();
  /// Runs at once all that waits, and ends the thread.
  void stop();

  /// Runs `work` at `due_us` (CLOCK_BOOTTIME).
  void post(uint64_t due_us, Work work);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::multimap<uint64_t, Work> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vprocfs
