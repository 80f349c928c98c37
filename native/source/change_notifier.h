#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

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
class ChangeNotifier {
 public:
  /// Dropping the last reference ends the watch.
  using Watched = std::shared_ptr<const WatchedFile>;

  virtual ~ChangeNotifier() = default;

  /// Watches `name` in the directory `dir_fd` until its next change. nullptr where it cannot be
  /// watched (no such file, watches used up): the caller then reads the file each time.
  virtual Watched watch(int dir_fd, const char* name) = 0;

  /// Takes in all changes made before this call, and few that are made meanwhile. One system call
  /// if not much happened. Thread-safe: when it returns, every file is `changed` whose write
  /// returned before it was called.
  virtual void drain() = 0;

  /// Descriptors of which one becomes readable when files have changed: there is something to
  /// drain, or somebody else's drain() has taken it in. Until notice().
  virtual std::array<int, 2> poll_fds() const = 0;
  /// drain() for whoever waits for these.
  virtual void notice() = 0;
};

/// The inotify implementation; nullptr where inotify cannot be had (then nothing is cached).
std::unique_ptr<ChangeNotifier> make_inotify_notifier();

}  // namespace vprocfs
