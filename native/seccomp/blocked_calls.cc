// Calls that wait until a record is added to their container's log (SYSLOG_ACTION_READ).

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "seccomp/abi.h"
#include "seccomp/agent.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxBlockedPerTenant = 8;

/// A container has one for each program that is executed in it from outside and that has waited for
/// its log, for as long as that program runs.
constexpr size_t kMaxSideListenersPerTenant = 64;

/// After this time a call ends with EINTR, and its caller may call again. A runtime may have asked
/// the kernel to let only fatal signals through to a waiting caller
/// (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV); then this is how long other signals are held up.
constexpr uint64_t kBlockUs = 5'000'000;
/// LXC does not ask for that, and its monitor logs a line for every such call.
constexpr uint64_t kSideListenerBlockUs = 600'000'000;

}  // namespace

/// How many calls of a tenant are blocked. Forgets those whose callers no longer wait.
size_t Agent::count_blocked_locked(uint64_t tenant) {
  size_t count = 0;
  for (auto it = blocked_.begin(); it != blocked_.end();) {
    const auto one = it++;
    if (one->tenant != tenant) continue;
    const auto source = sources_.find(one->key);
    const uint64_t id = pending_.blocked(one->place).notification.id;
    if (source != sources_.end() && still_waits(source->second->fd.get(), id)) {
      ++count;
    } else {
      pending_.drop_blocked(one->place);
      blocked_.erase(one);
    }
  }
  return count;
}

/// Moves the call in this thread's slot to the blocked ones. False: it may not wait.
bool Agent::block(const SourcePtr& source, const std::shared_ptr<Container>& who, size_t index) {
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  const bool was_blocked = in_flight.blocked != 0;
  const uint64_t tenant = who->tenant().id().packed();
  {
    const std::lock_guard lock(mutex_);
    if (count_blocked_locked(tenant) >= kMaxBlockedPerTenant) return false;
    if (sources_.count(source->key) == 0) return false;
    PendingCalls::Entry entry = in_flight;
    entry.blocked = 1;
    // One that was woken for a record that another reader has taken does not wait anew.
    const uint64_t for_us = source->kind == Kind::kSideListener ? kSideListenerBlockUs : kBlockUs;
    if (entry.until_us == 0) entry.until_us = boottime_us() + for_us;
    const auto place = pending_.put_blocked(entry);
    if (!place) return false;
    const BlockedCall one{source->key, who->id(), tenant, entry.until_us, *place};
    const auto later =
        std::find_if(blocked_.begin(), blocked_.end(),
                     [&](const BlockedCall& other) { return other.until_us > one.until_us; });
    blocked_.insert(later, one);
    in_flight = PendingCalls::Entry{};
    arm_pace_timer_locked();
  }
  // A record that was added before the call was among the blocked ones did not wake it.
  if (options_.answers.logs->has_unread(who->id())) on_log(who->id());
  if (!was_blocked) charge_and_rearm(*source, who, 1, true);
  return true;
}

/// The side listener of the filter whose call a monitor asks about: one monitor has several, the
/// container's own and one for each program that was executed in it from outside. Added if there is
/// none yet. nullptr: the tenant has too many.
Agent::SourcePtr Agent::side_listener(const MonitorRequest& asked, uint64_t tenant) {
  const uint64_t id = asked.request.notification.id;
  size_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, source] : sources_) {
      // 0: an earlier worker's, of which no call was answered yet.
      const uint64_t of = source->tenant;
      if (source->kind != Kind::kSideListener || (of != tenant && of != 0)) continue;
      if (still_waits(source->fd.get(), id)) return source;
      if (of == tenant) ++count;
    }
  }
  if (count >= kMaxSideListenersPerTenant) return nullptr;
  Fd notify(::fcntl(asked.fds[MonitorRequest::kNotify].get(), F_DUPFD_CLOEXEC, 0));
  SourcePtr added = notify ? find(add(Kind::kSideListener, std::move(notify), 0, false)) : nullptr;
  if (added) added->tenant = tenant;
  return added;
}

/// Has the call of a monitor's question wait among the blocked ones, to be answered through a side
/// listener after the monitor was released from it. False: it may not wait.
bool Agent::block_beside_monitor(const MonitorRequest& asked, const std::shared_ptr<Container>& who,
                                 size_t index) {
  const seccomp_notif& notification = asked.request.notification;
  const uint64_t tenant = who->tenant().id().packed();
  {
    // An earlier worker may have blocked it and died before it released the monitor.
    const std::lock_guard lock(mutex_);
    const bool is_blocked =
        std::any_of(blocked_.begin(), blocked_.end(), [&](const BlockedCall& one) {
          const uint64_t id = pending_.blocked(one.place).notification.id;
          return one.tenant == tenant && id == notification.id;
        });
    if (is_blocked) return true;
  }
  const SourcePtr listener = side_listener(asked, tenant);
  if (!listener) return false;
  PendingCalls::Entry& in_flight = pending_.in_flight(index);
  in_flight = PendingCalls::Entry{};
  in_flight.key = listener->key;
  in_flight.notification = notification;
  // The side listener was not disarmed for this call.
  in_flight.blocked = 1;
  if (block(listener, who, index)) return true;
  in_flight = PendingCalls::Entry{};
  return false;
}

/// Removes the side listeners of earlier workers that no call waits for. Before threads start.
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

/// Finds the blocked calls of earlier workers. Before threads start.
void Agent::adopt_blocked() {
  const size_t end = std::min(pending_.blocked_end(), PendingCalls::kBlocked);
  for (size_t place = 0; place < end; ++place) {
    if (pending_.blocked(place).in_use()) blocked_before_.push_back(place);
  }
}

/// Answers again, or blocks again, the blocked calls of earlier workers.
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

/// Moves the blocked call at a place into this thread's slot. False: there is none any more.
bool Agent::take_blocked_locked(size_t place, size_t index) {
  const auto found = std::find_if(blocked_.begin(), blocked_.end(),
                                  [place](const BlockedCall& one) { return one.place == place; });
  if (found == blocked_.end()) return false;
  PendingCalls::move(pending_.blocked(place), pending_.in_flight(index));
  blocked_.erase(found);
  return true;
}

/// A record was added to the log of a container. Called by the thread that added it.
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

/// Moves a blocked call whose log was added to into this thread's slot. False: there is none.
bool Agent::take_ready(size_t index) {
  const std::lock_guard lock(mutex_);
  while (!ready_.empty()) {
    const size_t place = *ready_.begin();
    ready_.erase(ready_.begin());
    if (!take_blocked_locked(place, index)) continue;
    // Has an idle thread take the others.
    if (!ready_.empty()) log_ready_.ring();
    return true;
  }
  return false;
}

void Agent::on_log_ready(size_t index) {
  while (take_ready(index)) resume_in_flight(index);
}

/// Ends the blocked calls whose time is over.
void Agent::end_blocked(size_t index) {
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (blocked_.empty() || blocked_.front().until_us > boottime_us()) return;
      take_blocked_locked(blocked_.front().place, index);
    }
    const SourcePtr source = find(pending_.in_flight(index).key);
    if (source) reply(*source, pending_.in_flight(index).notification, Verdict::fails(EINTR));
    pending_.in_flight(index) = PendingCalls::Entry{};
  }
}

/// Forgets the blocked calls of a source that is removed.
void Agent::forget_blocked_locked(uint64_t key) {
  for (auto it = blocked_.begin(); it != blocked_.end();) {
    const auto one = it++;
    if (one->key != key) continue;
    pending_.drop_blocked(one->place);
    blocked_.erase(one);
  }
}

}  // namespace vprocfs
