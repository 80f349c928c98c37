// Tenants' turns: of each tenant one thread looks for an answer and one writer writes, however many
// listeners it has. Else one whose cgroup files are slow to read would hold all threads.

#include <poll.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "seccomp/agent.h"

namespace vprocfs {
namespace {

/// How long a source waits at most for one that was armed before it and had no call after all.
constexpr uint64_t kCheckUs = 20'000;

/// Notify descriptors and monitors of one tenant: an eighth of what the keeper has room for.
constexpr size_t kMaxListenersPerTenant = 512;

}  // namespace

/// Notes whose calls come from a source. True: they are of a tenant that has too many already.
bool Agent::is_of_too_many(Source& source, uint64_t tenant) const {
  if (source.tenant == tenant) return false;
  // One by one: of two that came last together, each would count the other and be one too many.
  const std::lock_guard lock(mutex_);
  source.tenant = tenant;
  // One that a monitor has too stays open there: the kernel would not have its callers go on.
  const auto counts = [tenant](const Source& one) {
    return one.tenant == tenant && one.kind != FdKind::kSideListener;
  };
  if (!counts(source)) return false;
  const auto count = std::count_if(sources_.begin(), sources_.end(),
                                   [&counts](const auto& entry) { return counts(*entry.second); });
  const bool refused = static_cast<size_t>(count) > kMaxListenersPerTenant;
  if (refused) source.tenant = 0;
  return refused;
}

/// Takes the turn of a tenant, 0 if it is not known yet, until leave_turn(). False: it is in use,
/// and the source is armed when its time has come.
bool Agent::begin_turn(uint64_t tenant, const Source& source) {
  if (tenant == 0) return true;
  const std::lock_guard lock(mutex_);
  Turn& turn = turns_[tenant];
  if (!turn.in_use()) return turn.answering = true;
  if (turn.taken && !turn.stuck) pending_.writer_slot(turn.slot).wanted = 1;
  queue_source_locked(tenant, source.key);
  return false;
}

/// The same for the call in this thread's slot. False: it is parked until its time has come. Where
/// there is no room for that it does without a turn, and sets `tenant` to 0.
bool Agent::begin_turn_of_call(uint64_t& tenant, size_t index) {
  if (tenant == 0) return true;
  const std::lock_guard lock(mutex_);
  Turn& turn = turns_[tenant];
  if (!turn.in_use()) return turn.answering = true;
  if (turn.taken && !turn.stuck) pending_.writer_slot(turn.slot).wanted = 1;
  const auto place = pending_.park(pending_.in_flight(index));
  if (!place) {
    tenant = 0;
    return true;
  }
  turn.parked.push_back(*place);
  pending_.in_flight(index) = PendingCalls::Entry{};
  return false;
}

void Agent::queue_source_locked(uint64_t tenant, uint64_t key) {
  Turn& turn = turns_[tenant];
  turn.sources.push_back(key);
  if (std::exchange(turn.checked, true)) return;
  checks_.emplace(boottime_us() + kCheckUs, tenant);
  arm_pace_timer_locked();
}

/// Arms the sources that wait for a turn, up to the first one that has a call: when that has ended,
/// it is the turn of the next.
void Agent::arm_next_locked(Turn& turn) {
  while (!turn.sources.empty()) {
    const auto found = sources_.find(turn.sources.front());
    turn.sources.pop_front();
    if (found == sources_.end()) continue;
    pollfd p{found->second->fd.get(), POLLIN, 0};
    const bool has_call = ::poll(&p, 1, 0) > 0 && (p.revents & POLLIN) != 0;
    rearm(found->first, p.fd);
    if (has_call) return;
  }
}

/// The call of a source that was armed may have ended before any thread saw it. Then nobody arms
/// the next one.
void Agent::check_turns_locked(uint64_t now_us) {
  while (!checks_.empty() && checks_.begin()->first <= now_us) {
    const uint64_t tenant = checks_.begin()->second;
    checks_.erase(checks_.begin());
    const auto found = turns_.find(tenant);
    if (found == turns_.end()) continue;
    Turn& turn = found->second;
    if (!turn.in_use()) arm_next_locked(turn);
    turn.checked = !turn.sources.empty();
    if (turn.checked) checks_.emplace(now_us + kCheckUs, tenant);
    forget_idle_turn_locked(tenant);
  }
}

void Agent::forget_idle_turn_locked(uint64_t tenant) {
  const auto found = turns_.find(tenant);
  if (found == turns_.end()) return;
  const Turn& turn = found->second;
  const bool is_idle = !turn.answering && !turn.taken && !turn.stuck;
  if (is_idle && !turn.checked && turn.parked.empty()) turns_.erase(found);
}

/// Ends what begin_turn() began: a writer may have the turn now.
void Agent::leave_turn(uint64_t tenant, size_t index) {
  if (tenant == 0) return;
  {
    const std::lock_guard lock(mutex_);
    const auto found = turns_.find(tenant);
    if (found != turns_.end()) found->second.answering = false;
  }
  end_turn(tenant, index);
}

/// If a tenant's turn is not in use any more, answers the calls that wait for it and arms the next
/// source that does.
void Agent::end_turn(uint64_t tenant, size_t index) {
  for (;;) {
    PendingCalls::Entry next;
    {
      const std::lock_guard lock(mutex_);
      const auto found = turns_.find(tenant);
      if (found == turns_.end() || found->second.in_use() || stopping_) return;
      Turn& turn = found->second;
      if (turn.parked.empty()) {
        arm_next_locked(turn);
        return forget_idle_turn_locked(tenant);
      }
      const size_t place = turn.parked.front();
      turn.parked.pop_front();
      next = PendingCalls::move(pending_.parked(place), pending_.in_flight(index));
      turn.answering = true;
    }
    resume(next, index);
    const std::lock_guard lock(mutex_);
    const auto found = turns_.find(tenant);
    if (found != turns_.end()) found->second.answering = false;
  }
}

}  // namespace vprocfs
