#include "fuse/pacer.h"

#include <chrono>
#include <cstdlib>
#include <utility>

#include "base/priority.h"
#include "container/container.h"

namespace vprocfs {

Pacer::~Pacer() { stop(); }

void Pacer::start() {
  const std::lock_guard lock(mutex_);
  add_thread();
  // Without any what waits would wait for ever: as with std::thread, another worker is to try.
  if (threads_.empty()) std::abort();
}

void Pacer::stop() {
  std::vector<Thread> threads;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  wake_.notify_all();
  for (auto& thread : threads) thread.join();
}

void Pacer::post(uint64_t due_us, Work work) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(due_us, std::move(work));
  }
  wake_.notify_one();
}

void Pacer::post_unless_stopping(uint64_t due_us, Work work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    waiting_.emplace(due_us, std::move(work));
  }
  wake_.notify_one();
}

void Pacer::add_thread() {
  Thread thread;
  // Where there is none to be had those that there are go on.
  if (thread.start([this] { run(); })) threads_.push_back(std::move(thread));
}

void Pacer::run() {
  go_first();
  std::unique_lock lock(mutex_);
  for (;;) {
    if (waiting_.empty()) {
      if (stopping_) return;
      ++idle_;
      wake_.wait(lock);
      --idle_;
      continue;
    }
    const auto first = waiting_.begin();
    const uint64_t now = boottime_us();
    if (!stopping_ && first->first > now) {
      ++idle_;
      wake_.wait_for(lock, std::chrono::microseconds(first->first - now));
      --idle_;
      continue;
    }
    const Work work = std::move(first->second);
    waiting_.erase(first);
    if (idle_ == 0 && !stopping_ && threads_.size() < kMaxThreads) add_thread();
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace vprocfs
