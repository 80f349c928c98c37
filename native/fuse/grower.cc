#include "fuse/grower.h"

#include <utility>

namespace vprocfs {

Grower::Grower(const Reply& reply) : reply_(reply) {}

Grower::~Grower() { stop(); }

void Grower::start() {
  thread_ = std::thread([this] { run(); });
}

void Grower::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Grower::grow(uint64_t nodeid, uint64_t size, char last, std::function<void()> after) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(Job{nodeid, size, last, std::move(after)});
  }
  wake_.notify_one();
}

void Grower::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    reply_.notify_grow(job.nodeid, job.size, job.last);
    job.after();
    lock.lock();
  }
}

}  // namespace vprocfs
