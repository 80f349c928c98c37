#include "base/threads.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <utility>

#include "base/priority.h"

namespace vprocfs {
namespace {

/// How often the lookout checks whether all threads block. After so many checks in vain it rests.
constexpr std::chrono::milliseconds kLook{2};
constexpr int kChecks = 50;

size_t cpus() { return static_cast<size_t>(std::max(2L, ::sysconf(_SC_NPROCESSORS_ONLN))); }

/// Whether a thread of ours has a CPU or waits for one, and nothing else.
bool wants_to_run(pid_t id) {
  std::ifstream file("/proc/self/task/" + std::to_string(id) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  // Its name may hold blanks and parentheses.
  const size_t at = line.rfind(')');
  return at != std::string::npos && line.compare(at, 3, ") R") == 0;
}

}  // namespace

Threads::Threads(size_t limit, Body body) : limit_(limit), cpus_(cpus()), body_(std::move(body)) {}

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
    one.id.store(::gettid(), std::memory_order_relaxed);
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
  if (idle_.fetch_sub(1) == 1) relieve();
}

void Threads::idle() { idle_.fetch_add(1); }

void Threads::reinforce() {
  if (!any_idle() && size() > 0) relieve();
}

void Threads::relieve() {
  if (size() >= limit_) return;
  if (size() <= cpus_) return static_cast<void>(add());
  if (watched_.exchange(true)) return;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    if (lookout_.joinable()) return watch_.notify_all();
  }
  // A worker first, then the lookout: the node may have room for only one more thread.
  static_cast<void>(add());
  const std::lock_guard lock(mutex_);
  if (closed_ || !lookout_.start([this] { look_out(); })) watched_ = false;
}

bool Threads::may_help_locked() const {
  if (closed_ || idle_.load() > 0 || all_.size() >= limit_) return false;
  size_t running = 0;
  for (const auto& one : all_) {
    if (wants_to_run(one->id.load(std::memory_order_relaxed)) && ++running == cpus_) return false;
  }
  return true;
}

void Threads::look_out() {
  go_first();
  std::unique_lock lock(mutex_);
  for (;;) {
    watch_.wait(lock, [this] { return closed_ || watched_.load(); });
    for (int vain = 0; vain < kChecks && !closed_; ++vain) {
      watch_.wait_for(lock, kLook, [this] { return closed_; });
      if (!may_help_locked()) continue;
      vain = 0;
      lock.unlock();
      static_cast<void>(add());
      lock.lock();
    }
    if (closed_) return;
    watched_ = false;
    // The last idle thread may have become busy before that, and have woken nobody.
    if (idle_.load() == 0 && all_.size() < limit_) watched_ = true;
  }
}

void Threads::join(int wake) {
  constexpr std::chrono::milliseconds kAgain{1};
  std::vector<std::unique_ptr<One>> all;
  {
    std::unique_lock lock(mutex_);
    closed_ = true;
    watch_.notify_all();
    all.swap(all_);
    // Signals all, so that they end at the same time, and repeats that: a signal may come just
    // before the call that it is to interrupt.
    const auto waits = [](const std::unique_ptr<One>& one) { return !one->ended; };
    while (wake != 0 && std::any_of(all.begin(), all.end(), waits)) {
      for (const auto& one : all) {
        if (waits(one)) one->thread.signal(wake);
      }
      // Waits without the lock, which a thread that has just become busy takes to add another.
      ended_.wait_for(lock, kAgain, [&] { return std::none_of(all.begin(), all.end(), waits); });
    }
  }
  for (const auto& one : all) one->thread.join();
  lookout_.join();
  size_.store(0, std::memory_order_relaxed);
}

}  // namespace vprocfs
