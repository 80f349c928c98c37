#include "base/attempts.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iterator>

#include "base/clock.h"

namespace vprocfs {
namespace {

/// For how many times as long as it was waited for in vain a tenant rests.
constexpr uint64_t kRestPerWait = 20;
/// The more are late, the less the next one is waited for, so that whoever asks about all of them
/// comes to an end: half as long when there are this many, and not less than the least.
constexpr uint64_t kHalfWaitLate = 8, kLeastWaitUs = 50'000;
/// Tenants that are known to rest.
constexpr size_t kMaxResting = 4096;
/// Each keeps a thread, of which others need some too. Two containers of one tenant are two
/// strangers.
constexpr size_t kMaxLateStrangers = 512;
/// What is on its way to an end when nothing new may begin.
constexpr std::chrono::milliseconds kSettle{500};

}  // namespace

struct Attempts::Attempt {
  std::mutex mutex;
  std::condition_variable ended;
  bool has_ended = false;
  bool is_late = false;  ///< nobody waits for it any more
};

Result<bool> Attempts::start() {
  auto started = lanes_.start();
  has_threads_ = static_cast<bool>(started);
  return started;
}

void Attempts::post(uint64_t tenant, Lanes::Job work) {
  if (!has_threads_) return work();
  lanes_.post(tenant, std::move(work));
}

bool Attempts::may_begin(Payer payer) {
  const std::lock_guard lock(mutex_);
  if (payer.is_stranger && late_strangers_ >= kMaxLateStrangers) return false;
  const auto at = rests_.find(payer.number);
  if (at == rests_.end()) return true;
  if (monotonic_us() < at->second) return false;
  rests_.erase(at);
  return true;
}

uint64_t Attempts::patience_us() {
  const std::lock_guard lock(mutex_);
  return std::max(std::min(wait_us_, kLeastWaitUs),
                  wait_us_ * kHalfWaitLate / (kHalfWaitLate + late_));
}

void Attempts::begin_rest(Payer payer) {
  const std::lock_guard lock(mutex_);
  ++late_;
  if (payer.is_stranger) ++late_strangers_;
  if (rests_.size() >= kMaxResting) {
    const uint64_t now = monotonic_us();
    for (auto at = rests_.begin(); at != rests_.end();) {
      at = at->second < now ? rests_.erase(at) : std::next(at);
    }
  }
  rests_[payer.number] = UINT64_MAX;
}

void Attempts::end_rest(Payer payer) {
  const std::lock_guard lock(mutex_);
  --late_;
  if (payer.is_stranger) --late_strangers_;
  rests_[payer.number] = monotonic_us() + kRestPerWait * wait_us_;
}

bool Attempts::run(Payer payer, Lanes::Job work) {
  if (!has_threads_) {
    work();
    return true;
  }
  if (!may_begin(payer)) return false;
  auto attempt = std::make_shared<Attempt>();
  lanes_.post(payer.number, [this, payer, attempt, work = std::move(work)] {
    bool is_late = false;
    {
      const std::lock_guard lock(attempt->mutex);
      is_late = attempt->is_late;
    }
    // Nobody wants to know it any more.
    if (!is_late) work();
    {
      const std::lock_guard lock(attempt->mutex);
      attempt->has_ended = true;
      is_late = attempt->is_late;
    }
    attempt->ended.notify_all();
    if (is_late) end_rest(payer);
  });
  std::unique_lock lock(attempt->mutex);
  attempt->ended.wait_for(lock, std::chrono::microseconds(patience_us()),
                          [&] { return attempt->has_ended; });
  if (attempt->has_ended) return true;
  // Before it may end.
  begin_rest(payer);
  attempt->is_late = true;
  return false;
}

bool Attempts::end() {
  lanes_.close(std::chrono::steady_clock::now() + kSettle);
  if (lanes_.pending() != 0) return false;
  lanes_.stop();
  return true;
}

}  // namespace vprocfs
