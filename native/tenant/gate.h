#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace vprocfs {

/// Something that waits for its turn.
class GateWaiter {
 public:
  virtual ~GateWaiter() = default;
};

/// Lets one request of a tenant run at a time; the others wait here without holding a thread. So a
/// tenant that sends many requests, or whose sources block, occupies one worker thread and never
/// all. Each of its containers has its own queue, and the queues take turns.
class Gate {
 public:
  /// True: it is the request's turn; call leave() afterwards. False: the waiter that `make`
  /// returned is in the queue of `container_key`, a number for the container, and a later leave()
  /// returns it; or `make` returned none.
  template <typename MakeWaiter>
  bool enter(uint64_t container_key, MakeWaiter make) {
    const std::lock_guard lock(mutex_);
    if (!busy_) {
      busy_ = true;
      return true;
    }
    auto waiting = make();
    if (!waiting) return false;
    auto& queue = queues_[container_key];
    if (queue.empty()) turns_.push_back(container_key);
    queue.push_back(std::move(waiting));
    return false;
  }

  /// The next request, whose turn it is now, or nullptr when nobody waits.
  std::unique_ptr<GateWaiter> leave() {
    const std::lock_guard lock(mutex_);
    if (turns_.empty()) {
      busy_ = false;
      return nullptr;
    }
    const uint64_t container_key = turns_.front();
    turns_.pop_front();
    const auto at = queues_.find(container_key);
    std::unique_ptr<GateWaiter> next = std::move(at->second.front());
    at->second.pop_front();
    if (at->second.empty()) {
      queues_.erase(at);
    } else {
      turns_.push_back(container_key);
    }
    return next;
  }

  /// Takes out the first one of a container's queue for which `match` holds.
  template <typename Match>
  std::unique_ptr<GateWaiter> remove(uint64_t container_key, Match match) {
    const std::lock_guard lock(mutex_);
    const auto at = queues_.find(container_key);
    if (at == queues_.end()) return nullptr;
    auto& queue = at->second;
    for (auto it = queue.begin(); it != queue.end(); ++it) {
      if (!match(**it)) continue;
      std::unique_ptr<GateWaiter> found = std::move(*it);
      queue.erase(it);
      if (queue.empty()) {
        queues_.erase(at);
        turns_.remove(container_key);
      }
      return found;
    }
    return nullptr;
  }

 private:
  std::mutex mutex_;
  bool busy_ = false;
  std::unordered_map<uint64_t, std::list<std::unique_ptr<GateWaiter>>> queues_;  ///< none is empty
  std::list<uint64_t> turns_;  ///< each queue once
};

}  // namespace vprocfs
