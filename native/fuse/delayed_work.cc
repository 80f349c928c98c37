#include "fuse/delayed_work.h"

#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/priority.h"

namespace vprocfs {

DelayedWork::~DelayedWork() {
  hurry();
  stop();
}

void DelayedWork::hurry() {
  {
    const std::lock_guard lock(mutex_);
    hurried_ = true;
  }
  wake_.notify_all();
}

void DelayedWork::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  threads_.join();
}

bool DelayedWork::put(uint64_t due_us, Work work, bool while_hurried) {
  {
    const std::lock_guard lock(mutex_);
    if (hurried_ && !while_hurried) return false;
    waiting_.emplace(due_us, std::move(work));
  }
  wake_.notify_one();
  threads_.reinforce();
  return true;
}

void DelayedWork::run() {
  go_first();
  CpuLaps laps;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (waiting_.empty()) {
      if (stopping_) return;
      wake_.wait(lock);
      continue;
    }
    const auto first = waiting_.begin();
    const uint64_t now = boottime_us();
    if (!hurried_ && first->first > now) {
      wake_.wait_for(lock, std::chrono::microseconds(first->first - now));
      continue;
    }
    const Work work = std::move(first->second);
    waiting_.erase(first);
    lock.unlock();
    threads_.busy();
    work(laps);
    threads_.idle();
    lock.lock();
  }
}

}  // namespace vprocfs
