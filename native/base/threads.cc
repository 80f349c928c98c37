#include "base/threads.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace vprocfs {

Threads::Threads(size_t most, Body body) : limit_(most), body_(std::move(body)) {}

Threads::~Threads() { join(); }

Result<bool> Threads::start(size_t count) {
  Result<bool> added = true;
  for (size_t i = 0; i < count && added; ++i) added = add();
  if (size() > 0) return true;
  return added;
}

Result<bool> Threads::add() {
  const std::lock_guard lock(mutex_);
  if (closed_ || all_.size() >= limit_) return true;
  all_.push_back(std::make_unique<One>());
  One& one = *all_.back();
  idle_.fetch_add(1);
  auto started = one.thread.start([this, &one, index = all_.size() - 1] {
    body_(index);
    idle_.fetch_sub(1);
    const std::lock_guard ended(mutex_);
    one.ended = true;
    ended_.notify_all();
  });
  if (!started) {
    idle_.fetch_sub(1);
    all_.pop_back();
  }
  size_.store(all_.size(), std::memory_order_relaxed);
  return started;
}

void Threads::busy() {
  if (idle_.fetch_sub(1) == 1) static_cast<void>(add());
}

void Threads::idle() { idle_.fetch_add(1); }

void Threads::reinforce() {
  if (!any_idle() && size() > 0 && size() < limit_) static_cast<void>(add());
}

void Threads::join(int wake) {
  constexpr std::chrono::milliseconds kAgain{1};
  std::vector<std::unique_ptr<One>> all;
  {
    std::unique_lock lock(mutex_);
    closed_ = true;
    all.swap(all_);
    // All at once, so that they end at the same time. The signal may come just before what it is
    // to interrupt: repeated until it works.
    const auto waits = [](const std::unique_ptr<One>& one) { return !one->ended; };
    while (wake != 0 && std::any_of(all.begin(), all.end(), waits)) {
      for (const auto& one : all) {
        if (waits(one)) one->thread.signal(wake);
      }
      // One that has just become busy may be about to add another, and takes the lock meanwhile.
      ended_.wait_for(lock, kAgain, [&] { return std::none_of(all.begin(), all.end(), waits); });
    }
  }
  for (const auto& one : all) one->thread.join();
  size_.store(0, std::memory_order_relaxed);
}

}  // namespace vprocfs
