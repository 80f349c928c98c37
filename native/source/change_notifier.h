#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/fd.h"
#include "base/wake.h"

namespace vprocfs {

/// A file whose next change is waited for.
struct WatchedFile {
  /// It was changed since ChangeNotifier::watch() gave this, and will not be told of again.
  std::atomic<bool> changed{false};
};

/// Tells when somebody wrote to a cgroup's control file, so that limits need not be read again for
/// every request (inotify on kernfs: a write through any mount queues IN_MODIFY before write(2)
/// returns to the writer; measured on 6.18 and 6.1, v1 and v2).
///
/// A watch ends with the first change that it tells of: who writes to limits of its own without end
/// has the kernel queue no more than what those who read them asked for.
class ChangeNotifier : public std::enable_shared_from_this<ChangeNotifier> {
 public:
  /// Dropping the last reference ends the watch. It keeps the notifier.
  using Watched = std::shared_ptr<const WatchedFile>;

  /// nullptr where inotify cannot be had (then nothing is cached).
  static std::shared_ptr<ChangeNotifier> open();

  /// Watches `name` in the directory `dir_fd` until its next change. nullptr where it cannot be
  /// watched (no such file, watches used up): the caller then reads the file each time.
  Watched watch(int dir_fd, const char* name);

  /// Takes in all changes made before this call, and few that are made meanwhile. One system call
  /// if not much happened. Thread-safe: when it returns, every file is `changed` whose write
  /// returned before it was called.
  void drain();

  /// Descriptors of which one becomes readable when files have changed: there is something to
  /// drain, or somebody else's drain() has taken it in. Until notice().
  std::array<int, 2> poll_fds() const { return {inotify_.get(), taken_.fd()}; }
  /// drain() for whoever waits for these.
  void notice();

 private:
  struct Watch;
  struct Entry {
    std::weak_ptr<Watch> shared;
    /// Valid while the entry is there, even when `shared` has just expired: ~Watch removes the
    /// entry first, and waits for the lock to do so.
    Watch* watch = nullptr;
  };

  ChangeNotifier() = default;
  void remove(const Watch* watch);
  /// False: nothing has changed.
  bool take_queued();
  /// Takes in as many events as fit. Returns their bytes; less than fit: no more were queued.
  ssize_t take_some_locked();

  Fd inotify_;
  Wake taken_;
  std::mutex mutex_;
  std::unordered_map<int, Entry> entries_;  ///< by the kernel's watch descriptor
};

}  // namespace vprocfs
