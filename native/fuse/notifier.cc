#include "fuse/notifier.h"

#include <utility>

#include "base/priority.h"

namespace vprocfs {

Notifier::~Notifier() { stop(); }

Result<bool> Notifier::start() { return threads_.start(1); }

void Notifier::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  threads_.join();
}

void Notifier::post(uint64_t lane, Job job) {
  {
    const std::lock_guard lock(mutex_);
    const auto [at, idle] = lanes_.try_emplace(lane);
    at->second.push_back(std::move(job));
    ++pending_;
    if (idle) ready_.push_back(lane);
  }
  wake_.notify_one();
  threads_.reinforce();
}

size_t Notifier::pending() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

void Notifier::run() {
  go_first();
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !ready_.empty() || (stopping_ && pending_ == 0); });
    if (ready_.empty()) return;
    const uint64_t lane = ready_.front();
    ready_.pop_front();
    const auto at = lanes_.find(lane);
    const Job job = std::move(at->second.front());
    at->second.pop_front();
    lock.unlock();
    // It may take long: somebody must be left for the other lanes.
    threads_.busy();
    job();
    threads_.idle();
    lock.lock();
    --pending_;
    if (lanes_[lane].empty()) {
      lanes_.erase(lane);
    } else {
      ready_.push_back(lane);
      wake_.notify_one();
    }
    if (stopping_ && pending_ == 0) wake_.notify_all();
  }
}

}  // namespace vprocfs
