// Calls that wait until their container's log is added to (SYSLOG_ACTION_READ).

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "seccomp/agent.h"

namespace vprocfs {
namespace {

/// Of one tenant at most.
constexpr size_t kMaxHeldPerTenant = 8;

/// Then a call ends with EINTR, and whoever means it asks again: where the runtime has the kernel
/// let only fatal signals through to a caller (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), others are
/// seen no later.
constexpr uint64_t kHoldUs = 10'000'000;
/// LXC sets no such flag, and its monitor logs a line each time.
constexpr uint64_t kHoldAsideUs = 600'000'000;

}  // namespace

/// Puts the call in the hand of this thread aside. False: it may not wait.
bool Agent::hold(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index) {
  PendingCalls::Entry& hand = pending_.hand(index);
  const bool was_held = hand.held != 0;
  const uint64_t tenant = who->tenant().id().packed();
  {
    const std::lock_guard lock(mutex_);
    size_t of_tenant = 0;
    for (auto it = holding_.begin(); it != holding_.end();) {
      const auto next = std::next(it);
      if (it->tenant == tenant) {
        const auto from = sources_.find(it->key);
        const uint64_t id = pending_.held(it->place).notification.id;
        const bool waits = from != sources_.end() && still_waits(from->second->fd.get(), id);
        of_tenant += waits ? 1 : 0;
        if (!waits) {
          pending_.drop_held(it->place);
          holding_.erase(it);
        }
      }
      it = next;
    }
    if (of_tenant >= kMaxHeldPerTenant || sources_.count(source->key) == 0) return false;
    PendingCalls::Entry entry = hand;
    entry.held = 1;
    const auto place = pending_.hold(entry);
    if (!place) return false;
    const uint64_t for_us = source->kind == Kind::kAside ? kHoldAsideUs : kHoldUs;
    const Holding one{source->key, who->id(), tenant, boottime_us() + for_us, *place};
    const auto later = std::find_if(holding_.begin(), holding_.end(), [&](const Holding& other) {
      return other.until_us > one.until_us;
    });
    holding_.insert(later, one);
    hand = PendingCalls::Entry{};
    arm_pace_timer();
  }
  // What came before it was put aside woke nobody.
  if (options_.answers.logs->unread(who->id()).records != 0) on_log(who->id());
  if (!was_held) go_on(*source, who, 1, true);
  return true;
}

/// Puts a call aside that LXC's monitor asked for, to be answered past it. False: it may not wait.
bool Agent::hold_aside(Source& monitor, const Asked& asked, const std::shared_ptr<Container>& who,
                       size_t index) {
  const seccomp_notif& notification = asked.request.notification;
  {
    // A worker before us has put it aside, and did not get to say so.
    const std::lock_guard lock(mutex_);
    const uint64_t tenant = who->tenant().id().packed();
    const bool is_held = std::any_of(holding_.begin(), holding_.end(), [&](const Holding& one) {
      const uint64_t id = pending_.held(one.place).notification.id;
      return one.tenant == tenant && id == notification.id;
    });
    if (is_held) return true;
  }
  SourcePtr aside = find(monitor.aside);
  if (!aside) {
    Fd notify(::fcntl(asked.fds[Asked::kNotify].get(), F_DUPFD_CLOEXEC, 0));
    if (!notify) return false;
    monitor.aside = add(Kind::kAside, std::move(notify), 0, false);
    aside = find(monitor.aside);
    if (!aside) return false;
  }
  PendingCalls::Entry& hand = pending_.hand(index);
  hand = PendingCalls::Entry{};
  hand.key = aside->key;
  hand.notification = notification;
  // Its source has not stopped for it.
  hand.held = 1;
  if (hold(aside, who, index)) return true;
  hand = PendingCalls::Entry{};
  return false;
}

/// Before threads: of those that workers before us put aside, without a call.
void Agent::drop_idle_asides() {
  std::set<uint64_t> used;
  for (const size_t place : held_before_) used.insert(pending_.held(place).key);
  for (const auto& [place, entry] : leftovers_) used.insert(entry.key);
  std::vector<SourcePtr> idle;
  for (const auto& [key, source] : sources_) {
    if (source->kind == Kind::kAside && used.count(key) == 0) idle.push_back(source);
  }
  for (const SourcePtr& source : idle) remove(*source);
}

/// Before threads.
void Agent::adopt_holding() {
  const size_t end = std::min(pending_.held_end(), PendingCalls::kHeld);
  for (size_t place = 0; place < end; ++place) {
    if (pending_.held(place).in_use()) held_before_.push_back(place);
  }
}

/// Asks again for what a worker before us held.
void Agent::resume_holding(size_t index) {
  for (const size_t place : held_before_) {
    PendingCalls::Entry entry;
    {
      const std::lock_guard lock(mutex_);
      entry = PendingCalls::move(pending_.held(place), pending_.hand(index));
    }
    counters_.resumed.fetch_add(1, std::memory_order_relaxed);
    resume(entry, index);
  }
}

/// Takes what is held in a place into the hand of this thread. False: nothing is.
bool Agent::take_holding(size_t place, size_t index) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(holding_.begin(), holding_.end(),
                                  [place](const Holding& one) { return one.place == place; });
  if (found == holding_.end()) return false;
  PendingCalls::move(pending_.held(place), pending_.hand(index));
  holding_.erase(found);
  return true;
}

/// Of the thread that added to a log.
void Agent::on_log(ContainerId id) {
  {
    const std::lock_guard lock(mutex_);
    const bool waits = std::any_of(holding_.begin(), holding_.end(),
                                   [id](const Holding& one) { return one.container == id; });
    if (!waits) return;
    ready_.insert(id);
  }
  log_ready_.ring();
}

void Agent::on_log_ready(size_t index) {
  log_ready_.drain();
  std::vector<size_t> places;
  {
    const std::lock_guard lock(mutex_);
    for (const Holding& one : holding_) {
      if (ready_.count(one.container) != 0) places.push_back(one.place);
    }
    ready_.clear();
  }
  for (const size_t place : places) {
    if (!take_holding(place, index)) continue;
    const PendingCalls::Entry entry = pending_.hand(index);
    resume(entry, index);
  }
}

/// Of those that have waited for long enough.
void Agent::end_holding(size_t index) {
  for (;;) {
    size_t place = 0;
    {
      const std::lock_guard lock(mutex_);
      if (holding_.empty() || holding_.front().until_us > boottime_us()) return;
      place = holding_.front().place;
    }
    if (!take_holding(place, index)) continue;
    const SourcePtr source = find(pending_.hand(index).key);
    if (source) reply(*source, pending_.hand(index).notification, Verdict::fails(EINTR));
    pending_.hand(index) = PendingCalls::Entry{};
  }
}

/// Nobody is left to answer through.
void Agent::forget_holding_locked(uint64_t key) {
  for (auto it = holding_.begin(); it != holding_.end();) {
    const auto next = std::next(it);
    if (it->key == key) {
      pending_.drop_held(it->place);
      holding_.erase(it);
    }
    it = next;
  }
}

}  // namespace vprocfs
