#include "container/census.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "source/process.h"

namespace vprocfs {
namespace {

// A runtime moves its process into place step by step; a younger process is checked at each look.
constexpr uint64_t kSettledUs = 5'000'000;
// PIDs and namespace numbers are reused, so everything is checked again after this time.
constexpr uint64_t kFullUs = 30'000'000;

// A tenant may have this share of the limit (one in kTenantShare), and always kMinPerTenant.
constexpr size_t kTenantShare = 8, kMinPerTenant = 64;

// Containers may be nested as deep as somebody likes.
constexpr int kMaxNestingDepth = 32;

// In so many cgroups of a container somebody is looked for who lives there; and for so long in one
// look, in those of all: a tenant may make any number. The next look goes on with the
// others.
constexpr size_t kCgroupsOfDoubted = 256;
constexpr uint64_t kDoubtsUs = 5'000;

struct Entry {
  pid_t pid = 0;
  uint64_t inode = 0;
};

std::vector<Entry> all_processes(int procfs_fd) {
  std::vector<Entry> out;
  for_each_process(procfs_fd, [&](pid_t pid, const dirent& entry) {
    out.push_back({pid, entry.d_ino});
    return true;
  });
  return out;
}

}  // namespace

bool Census::is_old(uint64_t now_us) const { return full_us_ == 0 || now_us - full_us_ >= kFullUs; }

void Census::begin_check(uint64_t now_us) {
  // A placement that was not seen since the last check is gone and was that of no known container.
  // Of one that could not be found for a shortage nothing tells when it is gone.
  for (auto placement = placements_.begin(); placement != placements_.end();) {
    const bool is_gone = placement->second.checked_us < full_us_ || placement->second.missed;
    placement = is_gone ? placements_.erase(placement) : std::next(placement);
  }
  full_us_ = now_us;
  std::set<ContainerId> seen;
  for (const auto& [namespaces, placement] : placements_) seen.insert(placement.id);
  for (const auto& [id, init] : inits_) {
    if (seen.count(id) == 0) doubted_.insert(id);
  }
}

/// A placement of this container is another's. Mostly it has ended, and then the other one needs
/// its room; but it may only have shared the placement, or be in others as well.
void Census::replace(ContainerId other) {
  if (inits_.count(other) == 0) return;
  if (exists(other)) {
    doubted_.insert(other);
  } else {
    leave({other});
  }
}

/// One whose cgroup is gone has ended. Asking that takes one system call for each, so that it needs
/// not wait until others are searched.
void Census::drop_gone() {
  std::set<ContainerId> gone;
  for (const ContainerId id : doubted_) {
    if (!exists(id)) gone.insert(id);
  }
  leave(gone);
}

/// The init of a container in another one's PID namespace is that one's, whose end says nothing of
/// this one: it has ended when its cgroup is gone or nobody lives there.
void Census::settle_doubts() {
  drop_gone();
  std::set<ContainerId> gone;
  const uint64_t until_us = monotonic_us() + kDoubtsUs;
  const size_t count = doubted_.size();
  for (size_t tried = 0; tried < count; ++tried) {
    auto next = doubted_.upper_bound(tried_last_);
    if (next == doubted_.end()) next = doubted_.begin();
    const ContainerId id = *next;
    const auto found = resolver_.of_id(id, {kCgroupsOfDoubted, true, kDoubtsUs}, payer_of(id));
    const bool is_gone = !found && found.error().code == ESRCH;
    const bool is_late = monotonic_us() > until_us;
    if (is_gone) gone.insert(id);
    if (found || is_gone) {
      doubted_.erase(next);
    } else if (is_late && tried > 0) {
      // Others have had some of its time: it is the first of the next look.
      break;
    }
    // Otherwise something is short, or not all of it was seen: it is asked about again after all
    // others, which might never have their turn if they were as many as its tenant likes.
    tried_last_ = id;
    if (is_late) break;
  }
  leave(gone);
}

void Census::look(uint64_t now_us, Old old) {
  drop_dead();
  const bool all = full_us_ == 0 || (old == Old::kCheck && is_old(now_us));
  if (all) begin_check(now_us);
  ++looks_;
  for (const auto& [pid, inode] : all_processes(procfs_fd_)) {
    Seen& seen = processes_[pid];
    if (seen.inode != inode) seen = {inode, now_us, 0, ContainerId(), false};
    seen.look = looks_;
    if (all || !seen.settled) {
      seen.settled = visit(pid, now_us, seen.in) && now_us - seen.since_us >= kSettledUs;
    }
  }
  for (auto process = processes_.begin(); process != processes_.end();) {
    const bool is_gone = process->second.look != looks_;
    process = is_gone ? processes_.erase(process) : std::next(process);
  }
  if (old == Old::kCheck) {
    settle_doubts();
  } else {
    // Searches are part of what is left to check_old().
    drop_gone();
  }
}

bool Census::look_at(pid_t pid, uint64_t now_us) {
  drop_dead();
  bool is_inside = false;
  for (int depth = 0; depth < kMaxNestingDepth; ++depth) {
    auto found = resolver_.of_process(pid);
    if (!found || !found.value()) return is_inside;
    is_inside = true;
    const pid_t init = found.value()->init;
    // Whatever is known of its placement: in a PID namespace that lives on, that may be of one that
    // has ended.
    if (const auto at = resolver_.resolver().placement_of(pid))
      take(at.value(), std::move(found), now_us);
    const auto outer = resolver_.resolver().outer_init(init);
    if (!outer || !outer.value()) return is_inside;
    pid = *outer.value();
  }
  return is_inside;
}

bool Census::check_old(uint64_t now_us, size_t count) {
  if (to_check_.empty()) {
    if (full_us_ == 0 || !is_old(now_us)) {
      settle_doubts();
      return false;
    }
    begin_check(now_us);
    for (const auto& [pid, seen] : processes_) to_check_.push_back(pid);
  }
  for (; count > 0 && !to_check_.empty(); --count) {
    const auto seen = processes_.find(to_check_.back());
    if (seen != processes_.end()) visit(seen->first, now_us, seen->second.in);
    to_check_.pop_back();
  }
  if (to_check_.empty()) settle_doubts();
  return !to_check_.empty();
}

size_t Census::left_out() const {
  size_t count = 0;
  for (const auto& [namespaces, placement] : placements_) {
    if (placement.left_out && inits_.count(placement.id) == 0) ++count;
  }
  return count;
}

void Census::drop_dead() {
  std::vector<pollfd> fds;
  std::vector<ContainerId> ids;
  fds.reserve(inits_.size());
  ids.reserve(inits_.size());
  for (const auto& [id, init] : inits_) {
    fds.push_back({init.fd, POLLIN, 0});
    ids.push_back(id);
  }
  if (::poll(fds.data(), fds.size(), 0) <= 0) return;
  std::set<ContainerId> dead;
  for (size_t i = 0; i < fds.size(); ++i) {
    if (fds[i].revents != 0) dead.insert(ids[i]);
  }
  leave(dead);
}

void Census::leave(const std::set<ContainerId>& ids) {
  if (ids.empty()) return;
  for (const ContainerId id : ids) {
    const auto init = inits_.find(id);
    if (init == inits_.end()) continue;
    const auto count = of_tenants_.find(init->second.tenant);
    if (count != of_tenants_.end() && --count->second == 0) of_tenants_.erase(count);
    inits_.erase(init);
    doubted_.erase(id);
  }
  for (auto placement = placements_.begin(); placement != placements_.end();) {
    const bool is_left = ids.count(placement->second.id) != 0;
    placement = is_left ? placements_.erase(placement) : std::next(placement);
  }
  // It may live on in another PID namespace, whose processes the next look is to find.
  for (auto& [pid, seen] : processes_) {
    if (ids.count(seen.in) != 0) seen.settled = false;
  }
  for (const ContainerId id : ids) callbacks_.left(id);
}

bool Census::has_room(const TenantIdentity& tenant) const {
  const auto count = of_tenants_.find(tenant);
  // The first container of a tenant is always reported.
  if (count == of_tenants_.end()) return true;
  return inits_.size() < limit_ && count->second < std::max(kMinPerTenant, limit_ / kTenantShare);
}

bool Census::visit(pid_t pid, uint64_t now_us, ContainerId& in) {
  const auto at = resolver_.resolver().placement_of(pid);
  if (!at || at.value().namespaces.pid == resolver_.resolver().own().pid) return true;
  const ContainerId was_in = in;
  const bool is_found = visit(at.value(), pid, now_us, was_in);
  const auto known = placements_.find(at.value());
  in = known == placements_.end() ? ContainerId() : known->second.id;
  // A runtime moves its process through other cgroups, in which nobody else may be.
  if (was_in != in && inits_.count(was_in) != 0) doubted_.insert(was_in);
  return is_found;
}

bool Census::visit(const Resolver::Placement& at, pid_t pid, uint64_t now_us, ContainerId was_in) {
  const auto known = placements_.find(at);
  if (known != placements_.end()) {
    KnownPlacement& placement = known->second;
    const bool settled = now_us - placement.since_us >= kSettledUs;
    if (placement.checked_us == now_us) return !placement.missed;
    // Who comes in may be of the next container, which has the place of one that has ended.
    if (settled && placement.checked_us >= full_us_ && !placement.missed &&
        (placement.id == was_in || exists(placement, now_us))) {
      return true;
    }
  }
  return take(at, resolver_.of_process(pid), now_us);
}

Attempts::Payer Census::payer_of(ContainerId id) const {
  const auto known = inits_.find(id);
  return known == inits_.end() ? PromptResolver::payer_of(id)
                               : PromptResolver::payer_of(known->second.tenant);
}

/// Asks the kernel once in a look, however many processes come.
bool Census::exists(KnownPlacement& placement, uint64_t now_us) const {
  if (placement.id.none() || placement.existed_us == now_us) return true;
  if (!exists(placement.id)) return false;
  placement.existed_us = now_us;
  return true;
}

bool Census::take(const Resolver::Placement& at, Found found, uint64_t now_us) {
  const auto known = placements_.find(at);
  if (known != placements_.end()) known->second.checked_us = now_us;
  if (!found) {
    // Something is short: it may be in a container that lives.
    const bool ended = process_errno(found.error().code) == ESRCH;
    if (!ended && known == placements_.end()) {
      placements_[at] = {ContainerId(), now_us, now_us, true, true};
    } else if (ended && known != placements_.end() && known->second.left_out) {
      placements_.erase(known);
    }
    return ended;
  }
  const ContainerId id = found.value() ? found.value()->id : ContainerId();
  if (known == placements_.end()) {
    placements_[at] = {id, now_us, now_us};
  } else if (known->second.id != id) {
    const ContainerId other = known->second.id;
    known->second = {id, now_us, now_us};
    replace(other);
  }
  KnownPlacement& placement = placements_[at];
  placement.left_out = placement.missed = false;
  if (inits_.count(id) != 0) {
    callbacks_.checked(id);
    return true;
  }
  if (id.none()) return true;
  placement.left_out = !has_room(found.value()->tenant_identity);
  if (placement.left_out) return true;
  auto init = resolver_.resolver().pin_init(*found.value());
  if (!init) {
    // One that has ended meanwhile is not there.
    const bool ended = init.error().code == ESRCH;
    placement.left_out = placement.missed = !ended;
    if (ended) placements_.erase(at);
    return ended;
  }
  inits_[id] = {init.value().get(), found.value()->tenant_identity};
  ++of_tenants_[found.value()->tenant_identity];
  callbacks_.discovered({std::move(*found.value()), std::move(init.value())});
  return true;
}

}  // namespace vprocfs
