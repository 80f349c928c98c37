#include "fuse/pacer.h"

#include <chrono>
#include <utility>

#include "container/container.h"

namespace vprocfs {

Pacer::~Pacer() { stop(); }

void Pacer::start() {
  thread_ = std::thread([this] { run(); });
}

void Pacer::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Pacer::post(uint64_t due_us, Work work) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(due_us, std::move(work));
  }
  wake_.notify_one();
}

void Pacer::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (waiting_.empty()) {
      if (stopping_) return;
      wake_.wait(lock);
      continue;
    }
    const auto first = waiting_.begin();
    const uint64_t now = boottime_us();
    if (!stopping_ && first->first > now) {
      wake_.wait_for(lock, std::chrono::microseconds(first->first - now));
      continue;
    }
    const Work work = std::move(first->second);
    waiting_.erase(first);
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace vprocfs
