#include "fuse/notifier.h"

#include <cstdlib>
#include <utility>

#include "base/priority.h"

namespace vprocfs {

Notifier::~Notifier() { stop(); }

void Notifier::start() {
  const std::lock_guard lock(mutex_);
  add_thread();
  // Without any nobody is told: as with std::thread, another worker is to try.
  if (threads_.empty()) std::abort();
}

void Notifier::stop() {
  std::vector<Thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (auto& thread : threads) thread.join();
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
}

size_t Notifier::pending() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

void Notifier::add_thread() {
  Thread thread;
  // Where there is none to be had those that there are go on.
  if (thread.start([this] { run(); })) threads_.push_back(std::move(thread));
}

void Notifier::run() {
  go_first();
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return !ready_.empty() || (stopping_ && pending_ == 0); });
    --idle_;
    if (ready_.empty()) return;
    const uint64_t lane = ready_.front();
    ready_.pop_front();
    const auto at = lanes_.find(lane);
    const Job job = std::move(at->second.front());
    at->second.pop_front();
    // It may take long: somebody must be left for the other lanes.
    if (idle_ == 0 && !stopping_ && threads_.size() < kMaxThreads) add_thread();
    lock.unlock();
    job();
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
