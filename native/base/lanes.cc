#include "base/lanes.h"

#include <utility>
#include <vector>

namespace vprocfs {

void Lanes::settle(Deadline by) {
  std::unique_lock lock(mutex_);
  settled_.wait_until(lock, by, [this] { return pending_ == 0; });
}

void Lanes::close(Deadline by) {
  std::vector<Job> instead;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (auto& [lane, work] : lanes_) {
      pending_ -= work.size();
      for (Work& one : work) {
        if (one.instead) instead.push_back(std::move(one.instead));
      }
      work.clear();
    }
    // The others have one that is being done.
    for (const uint64_t lane : ready_) lanes_.erase(lane);
    ready_.clear();
  }
  for (const Job& job : instead) job();
  settle(by);
}

void Lanes::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  threads_.join();
}

void Lanes::post(uint64_t lane, Job job, Job instead) {
  {
    std::unique_lock lock(mutex_);
    if (closed_) {
      lock.unlock();
      if (instead) instead();
      return;
    }
    const auto [at, idle] = lanes_.try_emplace(lane);
    at->second.push_back({std::move(job), std::move(instead)});
    ++pending_;
    if (idle) ready_.push_back(lane);
  }
  wake_.notify_one();
  threads_.reinforce();
}

size_t Lanes::pending() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

void Lanes::run() {
  begin_();
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return !ready_.empty() || (stopping_ && pending_ == 0); });
    if (ready_.empty()) return;
    const uint64_t lane = ready_.front();
    ready_.pop_front();
    const auto at = lanes_.find(lane);
    const Job job = std::move(at->second.front().job);
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
    if (pending_ != 0) continue;
    settled_.notify_all();
    if (stopping_) wake_.notify_all();
  }
}

}  // namespace vprocfs
