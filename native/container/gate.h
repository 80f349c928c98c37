#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace vprocfs {

/// Whose turn it is: a request, and the thread that waits for its answer.
struct Holder {
  uint64_t request = 0;  ///< 0: nobody's
  uint32_t pid = 0;
};

/// Something that waits for its turn.
class Deferred {
 public:
  virtual ~Deferred() = default;
  virtual Holder holder() const = 0;
};

/// Lets one request of a container work at a time; the others wait here, holding no thread. So a
/// container that hammers, or whose sources block, occupies one worker and never all.
class Gate {
 public:
  /// True: go on, and call leave() after. False: `waiting` was taken and will come back from some
  /// leave().
  template <typename MakeDeferred>
  bool enter(Holder who, MakeDeferred make) {
    const std::lock_guard lock(mutex_);
    if (!busy_) {
      busy_ = true;
      holder_ = who;
      return true;
    }
    queue_.push_back(make());
    return false;
  }

  /// The next one in line, whose turn it is now, or nullptr when nobody waits.
  std::unique_ptr<Deferred> leave() {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) {
      busy_ = false;
      holder_ = {};
      return nullptr;
    }
    std::unique_ptr<Deferred> next = std::move(queue_.front());
    queue_.pop_front();
    holder_ = next->holder();
    return next;
  }

  Holder holder() const {
    const std::lock_guard lock(mutex_);
    return holder_;
  }

  /// Takes out the first waiting one for which `match` holds.
  template <typename Match>
  std::unique_ptr<Deferred> remove(Match match) {
    const std::lock_guard lock(mutex_);
    for (auto it = queue_.begin(); it != queue_.end(); ++it) {
      if (!match(**it)) continue;
      std::unique_ptr<Deferred> found = std::move(*it);
      queue_.erase(it);
      return found;
    }
    return nullptr;
  }

 private:
  mutable std::mutex mutex_;
  bool busy_ = false;
  Holder holder_;
  std::deque<std::unique_ptr<Deferred>> queue_;
};

}  // namespace vprocfs
