// A worker beside another one: the standby, a reload's, or a second one where the first is slow.

#include <algorithm>

#include "base/clock.h"
#include "keeper/log.h"
#include "keeper/supervisor.h"

namespace vprocfs {
namespace {

constexpr uint64_t kMaxStandbyBackoffMs = 60000;
/// One that has been there for so long does not fail again and again.
constexpr uint64_t kProvenStandbyMs = 60000;
constexpr uint64_t kHedgeMs = 3000;

uint64_t standby_backoff_ms(uint32_t failures) {
  return std::min<uint64_t>(kMaxStandbyBackoffMs,
                            uint64_t{1000} << std::min<uint32_t>(failures, 10));
}

}  // namespace

/// Where memory is short, the kernel may kill each one as soon as it is ready.
void Supervisor::note_stood_by(const Worker& standby, uint64_t now) {
  const bool stood_by = standby.state == WorkerState::kReady;
  if (stood_by && now >= standby.started_ms + kProvenStandbyMs) standby_failures_ = 0;
}

void Supervisor::lose_next(const char* why, uint64_t now) {
  note_stood_by(next_, now);
  next_ = Worker{};
  if (stopping_) return;
  if (current_.alive() && current_.kill_reason == nullptr) {
    if (current_.state == WorkerState::kStarting) {
      lose_second(why, now);
      return end_reload(why);
    }
    const bool drains = current_.state == WorkerState::kDraining;
    if (drains || (reloading_ && current_.serves())) {
      if (reloading_ && retry_reload(why, now)) return;
      keeper_log(options_.log, LogLevel::kError, "the new worker failed (%s): %s", why,
                 drains ? "another one starts when the old one has ended" : "keeping the old one");
      return end_reload(why);
    }
    standby_at_ms_ = now + standby_backoff_ms(standby_failures_++);
    keeper_log(options_.log, LogLevel::kWarn, "the standby ended (%s), the worker continues", why);
    return;
  }
  // It was to replace one that is gone.
  if (!current_.alive()) return lose_current(why, now);
  end_reload(why);
}

/// Whether one that was current_ had only begun beside a slow one, which is next_ and still starts.
bool Supervisor::was_second(const Worker& gone) const {
  return !stopping_ && gone.state == WorkerState::kStarting && next_.alive() &&
         next_.state == WorkerState::kStarting && next_.kill_reason == nullptr &&
         next_.started_ms < gone.started_ms;
}

/// The first one takes over as soon as it is ready.
void Supervisor::lose_second(const char* why, uint64_t now) {
  killed_ = false;
  hedge_again_ms_ = now + std::min(kMaxBackoffMs, standby_backoff_ms(standby_failures_++));
  keeper_log(options_.log, LogLevel::kWarn,
             "the second worker ended (%s), the first one is still starting", why);
}

const Worker* Supervisor::awaited() const {
  // With both alive there is a second one already, or readers do not wait.
  if (stopping_ || started_in_ms_ == 0 || current_.alive() == next_.alive()) return nullptr;
  const Worker& one = current_.alive() ? current_ : next_;
  const bool starts = one.state == WorkerState::kStarting && one.kill_reason == nullptr;
  return starts ? &one : nullptr;
}

uint64_t Supervisor::hedge_at_ms(const Worker& slow) const {
  const uint64_t late_ms = slow.started_ms + std::max(kHedgeMs, 3 * started_in_ms_);
  return std::max({start_at_ms_, hedge_again_ms_, late_ms});
}

/// Readers wait, and the worker takes much longer than the last one did: a second one may be
/// quicker. It has stopped, perhaps, and will be killed only when any start would have failed.
void Supervisor::hedge(uint64_t now) {
  const Worker* slow = awaited();
  if (slow == nullptr || now < hedge_at_ms(*slow)) return;
  Worker& other = slow == &current_ ? next_ : current_;
  const uint32_t failures = failures_;
  start(other, now);
  if (other.alive()) return;
  hedge_again_ms_ = now + kMaxBackoffMs;
  // Nothing speaks against the slow one, which takes over as soon as it is ready.
  start_at_ms_ = 0;
  failures_ = failures;
}

bool Supervisor::wants_standby() const {
  return options_.standby && current_.serves() && !next_.alive() && !reloading_ && !stopping_ &&
         probe_ == 0;
}

void Supervisor::stand_by(uint64_t now) {
  if (wants_standby() && now >= standby_at_ms_) start(next_, now);
}

void Supervisor::discard_standby() {
  if (!next_.alive()) return;
  // It has taken nothing, so nobody waits for its end.
  next_.kill("discarded", monotonic_ms());
  retire(next_);
}

}  // namespace vprocfs
