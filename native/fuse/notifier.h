#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace vprocfs {

/// Sends the kernel notices about files, in order, on a thread of its own: a notice may wait for a
/// page that another request is reading, so no thread that answers READs may send it. Used before
/// an OPEN is answered (a file became longer: sendfile(2) and splice(2) read no further than the
/// size the kernel knows) and when limits change (what the kernel caches is no longer so).
class Notifier {
 public:
  using Job = std::function<void()>;

  ~Notifier();

  void start();
  /// Finishes what is queued and ends the thread.
  void stop();

  void post(Job job);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vprocfs
