#include "source/change_notifier.h"

#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/fd.h"
#include "base/wake.h"

namespace vprocfs {
namespace {

class Watches;

/// Ends with its last holder.
struct Watch : WatchedFile {
  Watch(std::shared_ptr<Watches> owner, int descriptor)
      : watches(std::move(owner)), wd(descriptor) {}
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  const std::shared_ptr<Watches> watches;
  const int wd;
};

/// The inotify instance with all its watches. Outlives the notifier while files are watched.
class Watches : public std::enable_shared_from_this<Watches> {
 public:
  explicit Watches(Fd inotify) : inotify_(std::move(inotify)) {}

  int fd() const { return inotify_.get(); }

  ChangeNotifier::Watched add(const std::string& path) {
    // Declared before the lock: dropping them takes it.
    std::shared_ptr<Watch> watch, before;
    const std::lock_guard<std::mutex> lock(mutex_);
    const int wd = ::inotify_add_watch(fd(), path.c_str(), kEvents);
    if (wd < 0) return nullptr;
    // The kernel gives one descriptor per inode: whoever watches the same file shares the watch.
    Entry& entry = entries_[wd];
    before = entry.shared.lock();
    if (before && !before->changed) return before;
    watch = std::make_shared<Watch>(shared_from_this(), wd);
    entry = {watch, watch.get()};
    return watch;
  }

  void remove(const Watch* watch) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = entries_.find(watch->wd);
    // Somebody may have begun to watch the same file again since the last holder let go.
    if (found == entries_.end() || found->second.watch != watch) return;
    entries_.erase(found);
    ::inotify_rm_watch(fd(), watch->wd);
  }

  /// False: nothing has changed.
  bool drain() {
    // Held while reading too: whoever finds the queue empty must find `changed` up to date.
    const std::lock_guard<std::mutex> lock(mutex_);
    const ssize_t taken = take_some();
    if (taken < kBytesAtOnce) return taken > 0;
    // What is queued by now, and no more: writers may be as fast as this.
    int queued = std::numeric_limits<int>::max();
    ::ioctl(fd(), FIONREAD, &queued);
    for (; queued > 0 && take_some() == kBytesAtOnce; queued -= kBytesAtOnce) {
    }
    return true;
  }

 private:
  struct Entry {
    std::weak_ptr<Watch> shared;
    /// Valid while the entry is there, even when `shared` has just expired: ~Watch removes the
    /// entry first, and waits for the lock to do so.
    Watch* watch = nullptr;
  };

  static constexpr uint32_t kEvents = IN_MODIFY | IN_DELETE_SELF | IN_ONESHOT;
  /// All events are of one size: those of watched files have no names.
  static constexpr int kBytesAtOnce = 256 * sizeof(inotify_event);

  /// Takes in as many events as fit. Returns their bytes; less than fit: no more were queued.
  ssize_t take_some() {
    alignas(inotify_event) char events[kBytesAtOnce];
    ssize_t n = 0;
    do {
      n = ::read(fd(), events, sizeof events);
    } while (n < 0 && errno == EINTR);
    if (n > 0) take(events, static_cast<size_t>(n));
    return n;
  }

  void take(const char* events, size_t size) {
    for (size_t at = 0; at + sizeof(inotify_event) <= size;) {
      inotify_event event;
      std::memcpy(&event, events + at, sizeof event);
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        // The kernel still watches some of them, until their holders let go.
        for (auto& entry : entries_) note_change(entry.second);
        continue;
      }
      // A change is told of twice: as itself, and as the end of its watch (IN_IGNORED). The second
      // counts if the file was watched again between them: the kernel then ended that watch, too.
      const auto found = entries_.find(event.wd);
      if (found == entries_.end()) continue;
      note_change(found->second);
      entries_.erase(found);
    }
  }

  static void note_change(const Entry& entry) {
    entry.watch->changed.store(true, std::memory_order_release);
  }

  Fd inotify_;
  std::mutex mutex_;
  std::unordered_map<int, Entry> entries_;
};

Watch::~Watch() { watches->remove(this); }

class InotifyNotifier : public ChangeNotifier {
 public:
  InotifyNotifier(Fd inotify, Wake taken)
      : watches_(std::make_shared<Watches>(std::move(inotify))), taken_(std::move(taken)) {}

  Watched watch(int dir_fd, const char* name) override {
    return watches_->add("/proc/self/fd/" + std::to_string(dir_fd) + "/" + name);
  }
  void drain() override {
    if (watches_->drain()) taken_.ring();
  }
  std::array<int, 2> poll_fds() const override { return {watches_->fd(), taken_.fd()}; }
  void notice() override {
    taken_.drain();
    watches_->drain();
  }

 private:
  const std::shared_ptr<Watches> watches_;
  const Wake taken_;
};

}  // namespace

std::unique_ptr<ChangeNotifier> make_inotify_notifier() {
  Fd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  Wake taken = Wake::open();
  if (!inotify || !taken) return nullptr;
  return std::make_unique<InotifyNotifier>(std::move(inotify), std::move(taken));
}

}  // namespace vprocfs
