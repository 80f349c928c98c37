#include "source/change_notifier.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

namespace vprocfs {
namespace {

constexpr uint32_t kEvents = IN_MODIFY | IN_DELETE_SELF | IN_ONESHOT;
/// All events are of one size: those of watched files have no names.
constexpr int kBytesAtOnce = 256 * sizeof(inotify_event);

}  // namespace

/// Ends with its last holder.
struct ChangeNotifier::Watch : WatchedFile {
  Watch(std::shared_ptr<ChangeNotifier> owner, int descriptor)
      : notifier(std::move(owner)), wd(descriptor) {}
  ~Watch() { notifier->remove(this); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void note_change() { changed.store(true, std::memory_order_release); }

  const std::shared_ptr<ChangeNotifier> notifier;
  const int wd;
};

std::shared_ptr<ChangeNotifier> ChangeNotifier::open() {
  std::shared_ptr<ChangeNotifier> out(new ChangeNotifier());
  out->inotify_ = Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  out->taken_ = Wake::open();
  return out->inotify_ && out->taken_ ? out : nullptr;
}

ChangeNotifier::Watched ChangeNotifier::watch(int dir_fd, const char* name) {
  // Without the lock that all tenants need: a container can have us wait for ever in a directory of
  // its own (see Attempts).
  const Fd file(::openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return nullptr;
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  // Declared before the lock: dropping them takes it.
  std::shared_ptr<Watch> watch, before;
  const std::lock_guard lock(mutex_);
  const int wd = ::inotify_add_watch(inotify_.get(), path.c_str(), kEvents);
  if (wd < 0) return nullptr;
  // The kernel gives one descriptor per inode: whoever watches the same file shares the watch.
  Entry& entry = entries_[wd];
  before = entry.shared.lock();
  if (before && !before->changed) return before;
  watch = std::make_shared<Watch>(shared_from_this(), wd);
  entry = {watch, watch.get()};
  return watch;
}

void ChangeNotifier::remove(const Watch* watch) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(watch->wd);
  // Somebody may have begun to watch the same file again since the last holder let go.
  if (found == entries_.end() || found->second.watch != watch) return;
  entries_.erase(found);
  ::inotify_rm_watch(inotify_.get(), watch->wd);
}

void ChangeNotifier::drain() {
  if (take_queued()) taken_.ring();
}

void ChangeNotifier::notice() {
  taken_.drain();
  take_queued();
}

bool ChangeNotifier::take_queued() {
  // Held while reading too: whoever finds the queue empty must find `changed` up to date.
  const std::lock_guard lock(mutex_);
  const ssize_t taken = take_some_locked();
  if (taken < kBytesAtOnce) return taken > 0;
  // What is queued by now, and no more: writers may be as fast as this.
  int queued = std::numeric_limits<int>::max();
  ::ioctl(inotify_.get(), FIONREAD, &queued);
  for (; queued > 0 && take_some_locked() == kBytesAtOnce; queued -= kBytesAtOnce) {
  }
  return true;
}

ssize_t ChangeNotifier::take_some_locked() {
  alignas(inotify_event) char events[kBytesAtOnce];
  ssize_t n = 0;
  do {
    n = ::read(inotify_.get(), events, sizeof events);
  } while (n < 0 && errno == EINTR);
  for (ssize_t at = 0; at + static_cast<ssize_t>(sizeof(inotify_event)) <= n;) {
    inotify_event event;
    std::memcpy(&event, events + at, sizeof event);
    at += static_cast<ssize_t>(sizeof event + event.len);
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      // The kernel still watches some of them, until their holders let go.
      for (auto& entry : entries_) entry.second.watch->note_change();
      continue;
    }
    // A change is told of twice: as itself, and as the end of its watch (IN_IGNORED). The second
    // counts if the file was watched again between them: the kernel then ended that watch, too.
    const auto found = entries_.find(event.wd);
    if (found == entries_.end()) continue;
    found->second.watch->note_change();
    entries_.erase(found);
  }
  return n;
}

}  // namespace vprocfs
