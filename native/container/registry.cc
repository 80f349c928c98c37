#include "container/registry.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace vprocfs {
namespace {

// How long a caller's namespaces may stand for its container without looking again. Namespace
// numbers are reused, so the container's init must be alive too.
constexpr uint64_t kCallerTtlUs = 1000000;
constexpr size_t kMaxCallers = 65536;
// What finding a container costs, in renders.
constexpr uint64_t kCostOfFinding = 10;
// How long a thread is taken to stay in its cgroups; its PID is not another's within that time.
constexpr uint64_t kSeatTtlUs = 20000;
constexpr size_t kMaxSeats = 8192;
// PID namespaces of one container that are told apart. Only the host can make more than one.
constexpr size_t kMaxLives = 16, kMaxClocks = 64;
constexpr size_t kLookForOthersIn = 32;
// A search in vain that took more CPU time is not begun again for so many times as long.
constexpr uint64_t kLongSearchUs = 2000, kRestPerSearch = 50, kLongestAbsenceUs = 1000000;
constexpr size_t kMaxAbsent = 4096;
constexpr uint64_t kLimitsChanged = UINT64_MAX;  // no container has that id

bool exited(const Fd& pidfd) {
  pollfd p{pidfd.get(), POLLIN, 0};
  return ::poll(&p, 1, 0) > 0;
}

}  // namespace

Registry::Registry(const Resolver& resolver, SharedServices around)
    : resolver_(resolver), around_(around) {}

Registry::~Registry() { stop(); }

size_t Registry::size() const {
  const std::lock_guard lock(mutex_);
  return containers_.size();
}

Result<std::shared_ptr<Container>> Registry::by_id(ContainerId id, size_t most) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = containers_.find(id);
    if (it != containers_.end() && !it->second.container->dead()) return it->second.container;
  }
  {
    const std::lock_guard lock(mutex_);
    const auto it = absent_.find(id);
    if (it != absent_.end() && boottime_us() < it->second) return Error{ESRCH, id.name()};
  }
  const uint64_t began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
  auto found = resolver_.of_id(id, most);
  const uint64_t took_us = clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us;
  if (!found && took_us > kLongSearchUs) {
    // Who makes cgroups without processes could have all threads search them.
    const std::lock_guard lock(mutex_);
    if (absent_.size() >= kMaxAbsent) absent_.clear();
    absent_[id] = boottime_us() + std::min(kLongestAbsenceUs, kRestPerSearch * took_us);
  }
  if (!found) return found.error();
  return adopt(std::move(found.value()));
}

Result<Resolver::Room> Registry::room_of(pid_t pid) {
  const auto ns = read_namespaces(around_.procfs_fd, pid);
  if (!ns) return ns.error();
  Resolver::Room room{ns.value(), 0};
  const NamespaceIds& own = resolver_.own();
  if (room.namespaces.pid == own.pid || room.namespaces.cgroup != own.cgroup) return room;
  const uint64_t now = boottime_us();
  {
    const std::lock_guard lock(mutex_);
    const auto it = seats_.find(pid);
    if (it != seats_.end() && it->second.until_us > now) {
      room.cgroups = it->second.cgroups;
      return room;
    }
  }
  const auto cgroups = resolver_.cgroups_of(pid);
  if (!cgroups) return cgroups.error();
  room.cgroups = cgroups.value();
  const std::lock_guard lock(mutex_);
  if (seats_.size() >= kMaxSeats) seats_.clear();
  seats_[pid] = {room.cgroups, now + kSeatTtlUs};
  return room;
}

Result<std::shared_ptr<Container>> Registry::by_process(pid_t pid) {
  if (pid <= 0) return Error{ESRCH, "caller"};
  const auto room = room_of(pid);
  if (!room) return room.error();
  if (room.value().namespaces.pid == resolver_.own().pid) return std::shared_ptr<Container>();
  const uint64_t now = boottime_us();
  {
    const std::lock_guard lock(mutex_);
    const auto it = callers_.find(room.value());
    if (it != callers_.end() && it->second.until_us > now) {
      if (!it->second.container) return it->second.container;
      const auto entry = containers_.find(it->second.container->id());
      if (entry != containers_.end() && entry->second.container == it->second.container &&
          !it->second.container->dead() && !ended(entry->second)) {
        return it->second.container;
      }
    }
  }
  auto found = resolver_.of_process(pid);
  if (!found) return found.error();
  if (!found.value()) return std::shared_ptr<Container>();
  auto container = adopt(std::move(*found.value()));
  if (!container) return container;
  const std::lock_guard lock(mutex_);
  if (callers_.size() >= kMaxCallers) callers_.clear();
  callers_[room.value()] = Caller{container.value(), now + kCallerTtlUs};
  return container;
}

bool Registry::ended(const Entry& entry) {
  return std::all_of(entry.lives.begin(), entry.lives.end(),
                     [](const Life& life) { return exited(life.init); });
}

Result<Registry::Life> Registry::pin(const ContainerDescription& description) {
  Life life;
  life.pid_namespace = description.namespaces.pid;
  life.init = Fd(static_cast<int>(::syscall(SYS_pidfd_open, description.init, 0)));
  if (!life.init) return Error{process_errno(errno), description.cgroup};
  // The PID may have been reused between finding it and pinning it.
  const auto start = read_start_ticks(around_.procfs_fd, description.init);
  if (!start || start.value() * 10000 != description.init_start_us) {
    return Error{ESRCH, description.cgroup};
  }
  if (epoll_) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = description.id.packed();
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, life.init.get(), &event);
  }
  return life;
}

void Registry::join_locked(Entry& entry, const ContainerDescription& description, Life life) {
  const auto same = [&life](const Life& one) { return one.pid_namespace == life.pid_namespace; };
  const bool known = std::any_of(entry.lives.begin(), entry.lives.end(), same);
  if (known || entry.lives.size() >= kMaxLives) return;
  entry.clocks[life.pid_namespace] = {description.init_start_us, description.boottime_offset_us};
  entry.lives.push_back(std::move(life));
}

Clock Registry::clock_of(Container& container, pid_t pid) {
  const ContainerDescription& own = container.description();
  const Clock first{own.init_start_us, own.boottime_offset_us};
  const uint64_t now = boottime_us();
  if (container.first_clock.is(pid, now)) return first;
  const auto ns = read_pid_namespace(around_.procfs_fd, pid);
  if (!ns || ns.value() == resolver_.own().pid) return first;
  if (ns.value() == own.namespaces.pid) {
    container.first_clock.set(pid, now);
    return first;
  }
  const auto known = [&]() -> std::optional<Clock> {
    const std::lock_guard lock(mutex_);
    const auto entry = containers_.find(container.id());
    if (entry == containers_.end()) return first;
    const auto at = entry->second.clocks.find(ns.value());
    return at == entry->second.clocks.end() ? std::nullopt : std::optional<Clock>(at->second);
  };
  if (const auto clock = known()) return *clock;
  auto found = resolver_.of_process(pid);
  // One within it has no clock of its own, nor has a visitor.
  const bool its = found && found.value() && found.value()->id == container.id();
  if (its && found.value()->namespaces.pid == ns.value()) {
    static_cast<void>(adopt(std::move(*found.value())));
    if (const auto clock = known()) return *clock;
  }
  const std::lock_guard lock(mutex_);
  const auto entry = containers_.find(container.id());
  if (entry != containers_.end()) {
    if (entry->second.clocks.size() >= kMaxClocks) entry->second.clocks.clear();
    entry->second.clocks[ns.value()] = first;
  }
  return first;
}

Result<std::shared_ptr<Container>> Registry::adopt(ContainerDescription description) {
  const ContainerId id = description.id;
  {
    const std::lock_guard lock(mutex_);
    const auto it = containers_.find(id);
    // While one of its inits lives nothing else is this container.
    if (it != containers_.end() && !it->second.container->dead() && !ended(it->second)) {
      const auto its = [&](const Life& life) {
        return life.pid_namespace == description.namespaces.pid;
      };
      const auto& lives = it->second.lives;
      if (lives.size() >= kMaxLives || std::any_of(lives.begin(), lives.end(), its)) {
        return it->second.container;
      }
    }
  }
  auto life = pin(description);
  if (!life) return life.error();
  {
    const std::lock_guard lock(mutex_);
    const auto it = containers_.find(id);
    if (it != containers_.end() && !it->second.container->dead() && !ended(it->second)) {
      join_locked(it->second, description, std::move(life.value()));
      return it->second.container;
    }
  }
  auto payer = tenant(description.tenant);
  payer->renders().charge(kCostOfFinding);
  if (!make_room(*payer)) {
    payer->stake().refuse(Resource::kContainers);
    return Error{ENFILE, description.cgroup};
  }
  Entry entry;
  entry.container = std::make_shared<Container>(description, around_, std::move(payer));
  auto container = entry.container;
  const std::lock_guard lock(mutex_);
  auto& slot = containers_[id];
  if (slot.container && !slot.container->dead() && !ended(slot)) {
    join_locked(slot, description, std::move(life.value()));
    return slot.container;
  }
  if (slot.container) slot.container->mark_dead();
  join_locked(entry, description, std::move(life.value()));
  slot = std::move(entry);
  return container;
}

std::shared_ptr<Tenant> Registry::tenant(ContainerId id) {
  const std::lock_guard lock(mutex_);
  if (tenants_.size() >= tenant_sweep_) {
    for (auto it = tenants_.begin(); it != tenants_.end();) {
      it = it->second.expired() ? tenants_.erase(it) : std::next(it);
    }
    tenant_sweep_ = std::max(kSweepAt, 2 * tenants_.size());
  }
  auto& slot = tenants_[id];
  auto found = slot.lock();
  if (!found) {
    found = std::make_shared<Tenant>(id, around_.commons, around_.renders_per_second,
                                     around_.calls_per_second);
    slot = found;
  }
  return found;
}

std::vector<std::shared_ptr<Tenant>> Registry::tenants() const {
  std::vector<std::shared_ptr<Tenant>> all;
  const std::lock_guard lock(mutex_);
  all.reserve(tenants_.size());
  for (const auto& [id, weak] : tenants_) {
    if (auto tenant = weak.lock()) all.push_back(std::move(tenant));
  }
  return all;
}

std::shared_ptr<Container> Registry::ended(ContainerId id) {
  ContainerDescription description;
  description.id = id;
  // What is kept of it is not this one's: it may live, and only not be found at the moment.
  SharedServices around = around_;
  around.state = nullptr;
  around.sources = nullptr;
  auto container = std::make_shared<Container>(std::move(description), around);
  container->mark_dead();
  return container;
}

void Registry::forget_dead(ContainerId id) {
  std::shared_ptr<Container> last;
  {
    const std::lock_guard lock(mutex_);
    const auto it = containers_.find(id);
    if (it == containers_.end()) return;
    auto& lives = it->second.lives;
    lives.erase(std::remove_if(lives.begin(), lives.end(),
                               [](const Life& life) { return exited(life.init); }),
                lives.end());
    if (!lives.empty()) return;
    last = it->second.container;
  }
  // Another PID namespace of it may live, of which nobody has asked: then it goes on.
  const auto other = resolver_.of_id(id, kLookForOthersIn);
  auto life = other ? pin(other.value()) : Result<Life>(other.error());
  Containers gone;
  const std::lock_guard lock(mutex_);
  const auto it = containers_.find(id);
  if (it == containers_.end() || it->second.container != last || !it->second.lives.empty()) return;
  if (life) return join_locked(it->second, other.value(), std::move(life.value()));
  erase_locked(id, gone);
}

void Registry::erase_locked(ContainerId id, Containers& gone) {
  const auto it = containers_.find(id);
  gone.push_back(it->second.container);
  gone.back()->mark_dead();
  containers_.erase(it);
  for (auto caller = callers_.begin(); caller != callers_.end();) {
    const bool same = caller->second.container == gone.back();
    caller = same ? callers_.erase(caller) : std::next(caller);
  }
}

bool Registry::make_room(Tenant& tenant) {
  if (!tenant.stake().spent(Resource::kContainers)) return true;
  constexpr uint64_t kSweepEveryUs = 1000000;
  std::vector<ContainerId> its;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t now = boottime_us();
    if (now < tenant.swept_us + kSweepEveryUs) return false;
    tenant.swept_us = now;
    for (const auto& [id, entry] : containers_) {
      if (&entry.container->tenant() == &tenant) its.push_back(id);
    }
  }
  const auto there = [this](ContainerId id) { return resolver_.exists(id); };
  its.erase(std::remove_if(its.begin(), its.end(), there), its.end());
  Containers gone;
  {
    const std::lock_guard lock(mutex_);
    for (const ContainerId id : its) {
      if (containers_.count(id) != 0) erase_locked(id, gone);
    }
  }
  gone.clear();
  return !tenant.stake().spent(Resource::kContainers);
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

Result<bool> Registry::start(std::function<void()> limits_changed) {
  limits_changed_ = std::move(limits_changed);
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  stop_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !stop_) return Error{errno, "epoll"};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event);
  if (around_.notifier != nullptr && around_.notifier->poll_fd() >= 0) {
    // Edge-triggered: readings drain it too, and what they took in is looked at here all the same.
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = kLimitsChanged;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, around_.notifier->poll_fd(), &event);
  }
  return watcher_.start([this] { watch(); });
}

void Registry::pace_limits_changed() {
  around_.notifier->drain();
  const uint64_t begun = boottime_us();
  limits_changed_();
  // Containers may write limits of cgroups of their own as often as they like: looking at what
  // changed is kept to a tenth of this thread's time.
  const uint64_t rest_us = std::min<uint64_t>(1000000, 9 * (boottime_us() - begun));
  pollfd p{stop_.get(), POLLIN, 0};
  ::poll(&p, 1, static_cast<int>(rest_us / 1000));
}

void Registry::watch() {
  epoll_event events[64];
  for (;;) {
    const int n = ::epoll_wait(epoll_.get(), events, 64, -1);
    if (n < 0 && errno != EINTR) return;
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == 0) return;
      if (events[i].data.u64 == kLimitsChanged) {
        pace_limits_changed();
        continue;
      }
      forget_dead(ContainerId::from_packed(events[i].data.u64));
    }
  }
}

void Registry::stop() {
  if (!watcher_.joinable()) return;
  const uint64_t one = 1;
  if (::write(stop_.get(), &one, sizeof(one)) < 0) return;
  watcher_.join();
}

}  // namespace vprocfs
