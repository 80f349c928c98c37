#include "container/registry.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/pidfd.h"

namespace vprocfs {
namespace {

// How long a caller's namespaces may stand for its container without looking again. Namespace
// numbers are reused, so the container's init must be alive too.
constexpr uint64_t kCallerTtlUs = 1000000, kRefusedTtlUs = 100000;
// Until when an own PID namespace's age stands, which is forgotten when that ends.
constexpr uint64_t kAlways = UINT64_MAX;
constexpr size_t kMaxCallers = 65536;
// What finding a container costs, in renders.
constexpr uint64_t kCostOfFinding = 10;
// How long a thread is taken to stay in its cgroups; its PID is not another's within that time.
constexpr uint64_t kThreadCgroupsTtlUs = 20000;
constexpr size_t kMaxThreadCgroups = 8192;
// PID namespaces of one container that are told apart. Only the host can make more than one.
constexpr size_t kMaxPidNamespaces = 16, kMaxClocks = 64;
// A search in vain that took more CPU time is not begun again for so many times as long.
constexpr uint64_t kLongSearchUs = 2000, kRestPerSearch = 50, kLongestAbsenceUs = 1000000;
constexpr size_t kMaxAbsent = 4096;

}  // namespace

Registry::Registry(const Resolver& resolver, SharedServices services)
    : resolver_(resolver),
      services_(services),
      patient_(resolver, nullptr),
      prompt_(resolver, services.attempts),
      unseen_(
          services.state,
          [this](ContainerId id) { return prompt_.exists(id, PromptResolver::payer_of(id)); },
          [this](ContainerId id) { forget_gone({id}); }) {}

size_t Registry::size() const {
  const std::lock_guard lock(mutex_);
  return containers_.size();
}

Result<std::shared_ptr<Container>> Registry::by_id(ContainerId id, size_t max_cgroups) {
  return by_id(id, max_cgroups, Asker::kTenant, patient_);
}

Result<std::shared_ptr<Container>> Registry::for_operator(ContainerId id) {
  return by_id(id, Resolver::kMaxCgroupsSearched, Asker::kOperator, patient_);
}

Result<std::shared_ptr<Container>> Registry::for_host(ContainerId id) {
  return by_id(id, Resolver::kMaxCgroupsSearched, Asker::kTenant, prompt_);
}

Result<std::shared_ptr<Container>> Registry::for_operator(ContainerId id, pid_t init) {
  if (auto it = known(id); it && !it->dead()) return it;
  auto found = prompt_.of_process(init);
  if (!found) return found.error();
  if (!found.value() || found.value()->id != id) return Error{ESRCH, id.name()};
  return adopt(std::move(*found.value()), Asker::kOperator);
}

Result<std::shared_ptr<Container>> Registry::by_id(ContainerId id, size_t max_cgroups, Asker asker,
                                                   const PromptResolver& resolver) {
  if (auto it = known(id); it && !it->dead()) return it;
  {
    const std::lock_guard lock(mutex_);
    const auto it = absent_.find(id);
    if (it != absent_.end() && boottime_us() < it->second) return Error{ESRCH, id.name()};
  }
  struct Search {
    Result<ContainerDescription> found;
    uint64_t took_us = 0;
  };
  const auto searched = resolver.ask<std::shared_ptr<Search>>(
      PromptResolver::payer_of(id), [all = &resolver_, id, max_cgroups] {
        const uint64_t began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
        auto search = std::make_shared<Search>(Search{all->of_id(id, {max_cgroups}), 0});
        search->took_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us;
        return search;
      });
  if (!searched) return Error{EAGAIN, id.name()};
  auto& [found, took_us] = **searched;
  if (!found && took_us > kLongSearchUs) {
    // Who makes cgroups without processes could have all threads search them.
    const std::lock_guard lock(mutex_);
    if (absent_.size() >= kMaxAbsent) absent_.clear();
    absent_[id] = boottime_us() + std::min(kLongestAbsenceUs, kRestPerSearch * took_us);
  }
  if (!found) return found.error();
  return adopt(std::move(found.value()), asker);
}

Result<uint64_t> Registry::cgroups_of(pid_t pid) {
  const uint64_t now = boottime_us();
  {
    const std::lock_guard lock(mutex_);
    const auto it = thread_cgroups_.find(pid);
    if (it != thread_cgroups_.end() && it->second.until_us > now) return it->second.cgroups;
  }
  const auto cgroups = resolver_.cgroups_of(pid);
  if (!cgroups) return cgroups;
  const std::lock_guard lock(mutex_);
  if (thread_cgroups_.size() >= kMaxThreadCgroups) thread_cgroups_.clear();
  thread_cgroups_[pid] = {cgroups.value(), now + kThreadCgroupsTtlUs};
  return cgroups;
}

Result<std::shared_ptr<Container>> Registry::by_process(pid_t pid) {
  if (pid <= 0) return Error{ESRCH, "caller"};
  auto placement = resolver_.placement_of(pid, [this](pid_t one) { return cgroups_of(one); });
  if (!placement) return placement.error();
  if (placement.value().namespaces.pid == resolver_.own().pid) return std::shared_ptr<Container>();
  // Also beside namespaces that are not ours: containers may share all of them, and the kernel
  // gives the numbers of those that have ended to others.
  if (placement.value().cgroups == 0) {
    const auto cgroups = cgroups_of(pid);
    if (!cgroups) return cgroups.error();
    placement.value().cgroups = cgroups.value();
  }
  const uint64_t now = boottime_us();
  std::shared_ptr<Container> known;
  {
    const std::lock_guard lock(mutex_);
    const auto it = callers_.find(placement.value());
    if (it != callers_.end() && it->second.until_us > now) {
      if (it->second.refused) return Error{ENFILE, "caller"};
      known = it->second.container.lock();
      const auto entry = known ? containers_.find(known->id()) : containers_.end();
      if (entry != containers_.end() && entry->second.container == known && !known->dead() &&
          lives(entry->second, now)) {
        return known;
      }
    }
  }
  auto found = resolver_.of_process(pid);
  if (!found) return found.error();
  if (!found.value()) return std::shared_ptr<Container>();
  auto container = adopt(std::move(*found.value()));
  // Who makes more of them than it may have could have them found over and over.
  const bool refused = !container && container.error().code == ENFILE;
  if (!container && !refused) return container;
  Callers old;
  // May be the last to have it, and is not to end it under the lock.
  std::shared_ptr<Container> other;
  const std::lock_guard lock(mutex_);
  if (callers_.size() >= kMaxCallers) callers_.swap(old);
  Caller& caller = callers_[placement.value()];
  // Another thread may have found room for it since.
  if (refused && caller.until_us > now) other = caller.container.lock();
  if (other && !other->dead()) return other;
  caller = refused ? Caller{{}, now + kRefusedTtlUs, true}
                   : Caller{container.value(), now + kCallerTtlUs, false};
  return container;
}

std::shared_ptr<Container> Registry::join_known_locked(const ContainerDescription& found,
                                                       PidNamespace& pid_namespace) {
  const auto it = containers_.find(found.id);
  if (it == containers_.end() || !is_of(it->second, found)) return nullptr;
  join_locked(it->second, found, std::move(pid_namespace));
  return it->second.container;
}

void Registry::join_locked(Entry& entry, const ContainerDescription& description,
                           PidNamespace pid_namespace) {
  const uint64_t now_us = boottime_us();
  if (!has_ended(pid_namespace.init)) entry.lived_us = now_us;
  const auto same = [&pid_namespace](const PidNamespace& one) {
    return one.number == pid_namespace.number;
  };
  const bool known = std::any_of(entry.pid_namespaces.begin(), entry.pid_namespaces.end(), same);
  if (known || entry.pid_namespaces.size() >= kMaxPidNamespaces) return;
  entry.clocks[pid_namespace.number] = {{description.init_start_us, description.boottime_offset_us},
                                        kAlways};
  entry.pid_namespaces.push_back(std::move(pid_namespace));
  entry.has_ended = false;
  entry.container->join(description);
}

PidNamespaceClock Registry::clock_of(Container& container, pid_t pid) {
  const ContainerDescription& own = container.description();
  const PidNamespaceClock first = container.clock();
  const PidNamespaceClock of_own{own.init_start_us, own.boottime_offset_us};
  const uint64_t now = boottime_us();
  if (container.of_description.is(pid, now)) return of_own;
  const auto ns = read_pid_namespace(services_.procfs_fd, pid);
  if (!ns || ns.value() == resolver_.own().pid) return first;
  if (ns.value() == own.namespaces.pid) {
    container.of_description.set(pid, now);
    return of_own;
  }
  const auto known = [&](uint64_t number) -> std::optional<PidNamespaceClock> {
    const std::lock_guard lock(mutex_);
    const auto entry = containers_.find(container.id());
    if (entry == containers_.end()) return first;
    const auto at = entry->second.clocks.find(number);
    if (at == entry->second.clocks.end() || at->second.until_us <= now) return std::nullopt;
    return at->second.clock;
  };
  if (const auto clock = known(ns.value())) return *clock;
  auto found = resolver_.of_process(pid);
  // Something is short. The namespace may be the container's own: the next request asks again.
  if (!found && found.error().code != ESRCH) return first;
  // One within another has that one's clock. A visitor has none.
  PidNamespaceClock its = first;
  if (found && found.value() && found.value()->id == container.id()) {
    const uint64_t outermost = found.value()->namespaces.pid;
    const auto adopted = adopt(std::move(*found.value()));
    const auto clock = known(outermost);
    if (clock && outermost == ns.value()) return *clock;
    if (!clock && !adopted && adopted.error().code != ESRCH) return first;
    its = clock.value_or(first);
  }
  const std::lock_guard lock(mutex_);
  const auto entry = containers_.find(container.id());
  if (entry != containers_.end()) {
    if (entry->second.clocks.size() >= kMaxClocks) forget_visitors_locked(entry->second);
    NotedClock& noted = entry->second.clocks[ns.value()];
    // Another thread may have found that it is the container's own.
    if (noted.until_us == kAlways) return noted.clock;
    noted = {its, now + kCallerTtlUs};
  }
  return its;
}

void Registry::forget_visitors_locked(Entry& entry) {
  Clocks its;
  for (const PidNamespace& one : entry.pid_namespaces) {
    const auto clock = entry.clocks.find(one.number);
    if (clock != entry.clocks.end()) its.insert(*clock);
  }
  entry.clocks = std::move(its);
}

Result<std::shared_ptr<Container>> Registry::adopt(ContainerDescription description, Asker asker) {
  const ContainerId id = description.id;
  {
    const std::lock_guard lock(mutex_);
    const auto it = containers_.find(id);
    if (it != containers_.end() && is_of(it->second, description)) {
      const auto its = [&](const PidNamespace& pid_namespace) {
        return pid_namespace.number == description.namespaces.pid;
      };
      const auto& pid_namespaces = it->second.pid_namespaces;
      if (pid_namespaces.size() >= kMaxPidNamespaces ||
          std::any_of(pid_namespaces.begin(), pid_namespaces.end(), its)) {
        return it->second.container;
      }
    }
  }
  auto pid_namespace = pin(description);
  if (!pid_namespace) return pid_namespace.error();
  const auto join_known = [&] {
    const std::lock_guard lock(mutex_);
    return join_known_locked(description, pid_namespace.value());
  };
  if (auto known = join_known()) return known;
  auto payer = tenant(description);
  const bool is_tenants = asker == Asker::kTenant;
  if (is_tenants) payer->renders().charge(boottime_us(), kCostOfFinding);
  if (!make_room(*payer)) {
    // Another thread may have found it since, and given it the last place.
    if (auto known = join_known()) return known;
    if (is_tenants) payer->resources().refuse(Resource::kContainers);
    return Error{ENFILE, description.cgroup};
  }
  Entry entry;
  // Not with std::make_shared, as weak references to it would keep all of its memory.
  entry.container.reset(new Container(description, services_, payer));
  auto container = entry.container;
  const auto used = used_by_ended(description, *payer);
  Containers gone;
  const std::lock_guard lock(mutex_);
  if (auto known = join_known_locked(description, pid_namespace.value())) return known;
  const auto before = containers_.find(id);
  if (before != containers_.end()) {
    Container& last = *before->second.container;
    // One of its PID namespaces lives of which only an earlier worker knew.
    if (last.starts().first_us == container->starts().first_us) last.leave_kept();
    erase_locked(id, gone);
  }
  if (used) container->leave_out(*used);
  join_locked(entry, description, std::move(pid_namespace.value()));
  // Not before that: whoever finds no place would not find this one either.
  container->count();
  containers_[id] = std::move(entry);
  return container;
}

std::shared_ptr<Tenant> Registry::tenant(const ContainerDescription& description) {
  const std::lock_guard lock(mutex_);
  if (tenants_.size() + tenants_by_identity_.size() >= tenant_sweep_) {
    const auto sweep = [](auto& tenants) {
      for (auto it = tenants.begin(); it != tenants.end();) {
        it = it->second.expired() ? tenants.erase(it) : std::next(it);
      }
    };
    sweep(tenants_);
    sweep(tenants_by_identity_);
    tenant_sweep_ = std::max(kSweepAt, 2 * (tenants_.size() + tenants_by_identity_.size()));
  }
  const auto living = [](const auto& tenants, const auto& key) {
    const auto it = tenants.find(key);
    return it == tenants.end() ? nullptr : it->second.lock();
  };
  const TenantIdentity& identity = description.tenant_identity;
  const bool has_identity = identity.pid_namespace != 0;
  auto found = living(tenants_, description.tenant);
  // Its init has gone to another cgroup, or made a cgroup namespace: it may take as many names as
  // it has cgroups, and none of them is remembered.
  if (!found && has_identity) found = living(tenants_by_identity_, identity);
  if (!found) {
    found = std::make_shared<Tenant>(description.tenant, services_.resources, services_.rates);
    tenants_[description.tenant] = found;
  }
  if (has_identity) tenants_by_identity_[identity] = found;
  return found;
}

std::shared_ptr<Container> Registry::known(ContainerId id) const {
  const std::lock_guard lock(mutex_);
  const auto it = containers_.find(id);
  return it == containers_.end() ? nullptr : it->second.container;
}

std::vector<std::shared_ptr<Container>> Registry::known() const {
  std::vector<std::shared_ptr<Container>> all;
  const std::lock_guard lock(mutex_);
  all.reserve(containers_.size());
  for (const auto& [id, entry] : containers_) all.push_back(entry.container);
  return all;
}

}  // namespace vprocfs
