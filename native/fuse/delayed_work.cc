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

DelayedWork::Ticket DelayedWork::put(uint64_t due_us, Work work, bool while_hurried) {
  Ticket ticket;
  {
    const std::lock_guard lock(mutex_);
    if (hurried_ && !while_hurried) return {};
    ticket = {due_us, ++last_number_};
    waiting_.emplace(ticket, std::move(work));
  }
  wake_.notify_one();
  threads_.reinforce();
  return ticket;
}

DelayedWork::Work DelayedWork::cancel(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  const auto it = waiting_.find(ticket);
  if (it == waiting_.end()) return nullptr;
  Work work = std::move(it->second);
  waiting_.erase(it);
  return work;
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
    const uint64_t due_us = first->first.first;
    if (!hurried_ && due_us > now) {
      wake_.wait_for(lock, std::chrono::microseconds(due_us - now));
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
