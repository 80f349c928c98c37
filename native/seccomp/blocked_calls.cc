// Calls that wait until their container's log is added to (SYSLOG_ACTION_READ).

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "seccomp/agent.h"

namespace vprocfs {
namespace {

/// Of one tenant at most.
constexpr size_t kMaxBlockedPerTenant = 8;

/// Then a call ends with EINTR, and whoever means it asks again: where the runtime has the kernel
/// let only fatal signals through to a caller (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV), others are
/// seen no later.
constexpr uint64_t kBlockUs = 10'000'000;
/// LXC sets no such flag, and its monitor logs a line each time.
constexpr uint64_t kSideListenerBlockUs = 600'000'000;

}  // namespace

/// Puts the call that this thread works on aside. False: it may not wait.
bool Agent::block(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index) {
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  const bool was_blocked = in_flight.blocked != 0;
  const uint64_t tenant = who->tenant().id().packed();
  {
    const std::lock_guard lock(mutex_);
    size_t of_tenant = 0;
    for (auto it = blocked_.begin(); it != blocked_.end();) {
      const auto next = std::next(it);
      if (it->tenant == tenant) {
        const auto from = sources_.find(it->key);
        const uint64_t id = pending_.blocked(it->place).notification.id;
        const bool waits = from != sources_.end() && still_waits(from->second->fd.get(), id);
        of_tenant += waits ? 1 : 0;
        if (!waits) {
          pending_.drop_blocked(it->place);
          blocked_.erase(it);
        }
      }
      it = next;
    }
    if (of_tenant >= kMaxBlockedPerTenant || sources_.count(source->key) == 0) return false;
    PendingCalls::Entry entry = in_flight;
    entry.blocked = 1;
    const auto place = pending_.put_blocked(entry);
    if (!place) return false;
    const uint64_t for_us = source->kind == Kind::kSideListener ? kSideListenerBlockUs : kBlockUs;
    const BlockedCall one{source->key, who->id(), tenant, boottime_us() + for_us, *place};
    const auto later =
        std::find_if(blocked_.begin(), blocked_.end(),
                     [&](const BlockedCall& other) { return other.until_us > one.until_us; });
    blocked_.insert(later, one);
    in_flight = PendingCalls::Entry{};
    arm_pace_timer();
  }
  // What came before it was put aside woke nobody.
  if (options_.answers.logs->has_unread(who->id())) on_log(who->id());
  if (!was_blocked) go_on(*source, who, 1, true);
  return true;
}

/// Puts a call aside that LXC's monitor asked for, to be answered past it. False: it may not wait.
bool Agent::block_beside_monitor(Source& monitor, const MonitorRequest& asked,
                                 const std::shared_ptr<Container>& who, size_t index) {
  const seccomp_notif& notification = asked.request.notification;
  {
    // A worker before us has put it aside, and did not get to say so.
    const std::lock_guard lock(mutex_);
    const uint64_t tenant = who->tenant().id().packed();
    const bool is_blocked =
        std::any_of(blocked_.begin(), blocked_.end(), [&](const BlockedCall& one) {
          const uint64_t id = pending_.blocked(one.place).notification.id;
          return one.tenant == tenant && id == notification.id;
        });
    if (is_blocked) return true;
  }
  SourcePtr listener = find(monitor.side_listener);
  if (!listener) {
    Fd notify(::fcntl(asked.fds[MonitorRequest::kNotify].get(), F_DUPFD_CLOEXEC, 0));
    if (!notify) return false;
    monitor.side_listener = add(Kind::kSideListener, std::move(notify), 0, false);
    listener = find(monitor.side_listener);
    if (!listener) return false;
  }
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  in_flight = PendingCalls::Entry{};
  in_flight.key = listener->key;
  in_flight.notification = notification;
  // Its source has not stopped for it.
  in_flight.blocked = 1;
  if (block(listener, who, index)) return true;
  in_flight = PendingCalls::Entry{};
  return false;
}

/// Before threads: removes the side listeners of workers before us that no call waits for.
void Agent::drop_idle_side_listeners() {
  std::set<uint64_t> used;
  for (const size_t place : blocked_before_) used.insert(pending_.blocked(place).key);
  for (const auto& [place, entry] : leftovers_) used.insert(entry.key);
  std::vector<SourcePtr> idle;
  for (const auto& [key, source] : sources_) {
    if (source->kind == Kind::kSideListener && used.count(key) == 0) idle.push_back(source);
  }
  for (const SourcePtr& source : idle) remove(*source);
}

/// Before threads.
void Agent::adopt_blocked() {
  const size_t end = std::min(pending_.blocked_end(), PendingCalls::kBlocked);
  for (size_t place = 0; place < end; ++place) {
    if (pending_.blocked(place).in_use()) blocked_before_.push_back(place);
  }
}

/// Asks again for what blocked in a worker before us.
void Agent::resume_blocked(size_t index) {
  for (const size_t place : blocked_before_) {
    PendingCalls::Entry entry;
    {
      const std::lock_guard lock(mutex_);
      entry = PendingCalls::move(pending_.blocked(place), pending_.in_flight(index));
    }
    counters_.resumed.fetch_add(1, std::memory_order_relaxed);
    resume(entry, index);
  }
}

/// Takes the blocked call in a place for this thread to work on. False: there is none.
bool Agent::take_blocked(size_t place, size_t index) {
  const std::lock_guard lock(mutex_);
  return take_blocked_locked(place, index);
}

bool Agent::take_blocked_locked(size_t place, size_t index) {
  const auto found = std::find_if(blocked_.begin(), blocked_.end(),
                                  [place](const BlockedCall& one) { return one.place == place; });
  if (found == blocked_.end()) return false;
  PendingCalls::move(pending_.blocked(place), pending_.in_flight(index));
  blocked_.erase(found);
  return true;
}

/// Of the thread that added to a log.
void Agent::on_log(ContainerId id) {
  {
    const std::lock_guard lock(mutex_);
    bool waits = false;
    for (const BlockedCall& one : blocked_) {
      if (one.container != id) continue;
      ready_.insert(one.place);
      waits = true;
    }
    if (!waits) return;
  }
  log_ready_.ring();
}

/// Takes one of those whose logs were added to for this thread to work on. False: there is none.
bool Agent::take_ready(size_t index) {
  const std::lock_guard lock(mutex_);
  while (!ready_.empty()) {
    const size_t place = *ready_.begin();
    ready_.erase(ready_.begin());
    if (!take_blocked_locked(place, index)) continue;
    // The others are for a thread that has time.
    if (!ready_.empty()) log_ready_.ring();
    return true;
  }
  return false;
}

void Agent::on_log_ready(size_t index) {
  while (take_ready(index)) resume_in_flight(index);
}

/// Of those that have waited for long enough.
void Agent::end_blocked(size_t index) {
  for (;;) {
    size_t place = 0;
    {
      const std::lock_guard lock(mutex_);
      if (blocked_.empty() || blocked_.front().until_us > boottime_us()) return;
      place = blocked_.front().place;
    }
    if (!take_blocked(place, index)) continue;
    const SourcePtr source = find(pending_.in_flight(index).key);
    if (source) reply(*source, pending_.in_flight(index).notification, Verdict::fails(EINTR));
    pending_.in_flight(index) = PendingCalls::Entry{};
  }
}

/// Nobody is left to answer through.
void Agent::forget_blocked_locked(uint64_t key) {
  for (auto it = blocked_.begin(); it != blocked_.end();) {
    const auto next = std::next(it);
    if (it->key == key) {
      pending_.drop_blocked(it->place);
      blocked_.erase(it);
    }
    it = next;
  }
}

}  // namespace vprocfs
