#pragma once

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
/// further than the size the kernel knows) and when limits change (what the kernel has cached is
/// outdated).
///
/// A reader can hold its page for long: it may wait for its own budget, or get no CPU time. So each
/// tenant has a lane: its notices go in order, one at a time, and no lane waits for another.
class Notifier {
 public:
  using Job = std::function<void()>;

  ~Notifier();

  /// Error: there is no thread for it.
  Result<bool> start();
  /// Finishes what is queued and ends the threads.
  void stop();
  /// See Threads.
  void reinforce() { threads_.reinforce(); }

  /// `lane`: any number that stands for the tenant.
  void post(uint64_t lane, Job job);

  /// Notices that wait or are being sent.
  size_t pending() const;

 private:
  /// Only tenants that hold a page at the same moment take one each.
  static constexpr size_t kMaxThreads = 64;

  void run();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  /// A lane is there as long as it has jobs, or one that is being done.
  std::unordered_map<uint64_t, std::deque<Job>> lanes_;
  std::deque<uint64_t> ready_;  ///< lanes with jobs, none of which is being done
  size_t pending_ = 0;
  bool stopping_ = false;
  Threads threads_{kMaxThreads, [this](size_t) { run(); }};
};

}  // namespace vprocfs
