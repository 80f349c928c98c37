// How it is known that containers have ended, and that limits have changed.

#include <algorithm>
#include <cerrno>

#include "base/clock_tick.h"
#include "base/pidfd.h"
#include "base/priority.h"
#include "container/registry.h"

namespace vprocfs {
namespace {

constexpr size_t kLookForOthersIn = 32;
constexpr size_t kMaxEndedOfTenant = 64;
// No container has these ids.
constexpr uint64_t kStop = 0, kLimitsChanged = UINT64_MAX, kNoRoom = UINT64_MAX - 1;

/// Of what began in a container's cgroup while that lived: it is of it, and not the next one there.
bool began_by(const ContainerDescription& found, uint64_t lived_us) {
  // A start is in whole ticks, rounded down.
  return found.init_start_us + kClockTickUs <= lived_us;
}

/// As of epoll_wait(2). `due_us`: CLOCK_BOOTTIME; 0: never.
int wait_ms_until(uint64_t due_us) {
  if (due_us == 0) return -1;
  const uint64_t now_us = boottime_us();
  return due_us <= now_us ? 0 : static_cast<int>((due_us - now_us) / 1000 + 1);
}

/// When to look at what limits changed. Containers may write limits of cgroups of their own as
/// often as they like: looking is kept to a tenth of the thread's time.
class LimitLooks {
 public:
  /// CLOCK_BOOTTIME; 0: never.
  uint64_t due_us() const { return due_us_; }
  bool is_due() const { return due_us_ != 0 && due_us_ <= boottime_us(); }
  void note_change() {
    wait_us_ = kFirstUs;
    due_us_ = std::max(boottime_us(), rests_until_us_);
  }
  /// `look` returns false while some containers are busy. It is called again then: less and less
  /// often, as long as a source blocks.
  template <typename Look>
  void run(Look look) {
    due_us_ = 0;
    const uint64_t begun_us = boottime_us();
    const bool all = look();
    const uint64_t now_us = boottime_us();
    rests_until_us_ = now_us + std::min(kLongestRestUs, 9 * (now_us - begun_us));
    if (all) return;
    due_us_ = std::max(now_us + wait_us_, rests_until_us_);
    wait_us_ = std::min(2 * wait_us_, kLongestUs);
  }

 private:
  static constexpr uint64_t kFirstUs = 100'000, kLongestUs = 5'000'000, kLongestRestUs = 1'000'000;

  uint64_t wait_us_ = kFirstUs;
  uint64_t due_us_ = 0, rests_until_us_ = 0;
};

}  // namespace

bool Registry::lives(Entry& entry, uint64_t now_us) {
  const bool lives =
      std::any_of(entry.pid_namespaces.begin(), entry.pid_namespaces.end(),
                  [](const PidNamespace& pid_namespace) { return !has_ended(pid_namespace.init); });
  if (lives) entry.lived_us = std::max(entry.lived_us, now_us);
  return lives;
}

uint64_t Registry::lived_until(const Entry& entry) const {
  if (entry.has_ended) return entry.lived_us;
  // Requests by id do not look whether it lives: the last look may be long ago.
  const uint64_t heard_us = std::min(heard_us_.load(std::memory_order_relaxed), boottime_us());
  return std::max(entry.lived_us, heard_us);
}

bool Registry::is_of(Entry& entry, const ContainerDescription& found) const {
  if (entry.container->dead()) return false;
  // While one of its inits lives nothing else is this container.
  return lives(entry, boottime_us()) || began_by(found, lived_until(entry));
}

Result<Registry::PidNamespace> Registry::pin(const ContainerDescription& description) {
  auto init = resolver_.pin_init(description);
  if (!init) return init.error();
  PidNamespace pid_namespace{description.namespaces.pid, std::move(init.value())};
  if (epoll_) epoll_.add(pid_namespace.init.get(), description.id.packed(), EPOLLIN);
  return pid_namespace;
}

std::shared_ptr<Container> Registry::ended(ContainerId id) {
  ContainerDescription description;
  description.id = id;
  // What is kept of it is not this one's: it may live, and only not be found at the moment.
  SharedServices services = services_;
  services.state = nullptr;
  services.sources = nullptr;
  auto container = std::make_shared<Container>(std::move(description), services);
  container->mark_dead();
  return container;
}

void Registry::forget_dead(ContainerId id) {
  std::shared_ptr<Container> last;
  uint64_t lived_us = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto it = containers_.find(id);
    if (it == containers_.end()) return;
    auto& pid_namespaces = it->second.pid_namespaces;
    pid_namespaces.erase(std::remove_if(pid_namespaces.begin(), pid_namespaces.end(),
                                        [&](const PidNamespace& pid_namespace) {
                                          if (!has_ended(pid_namespace.init)) return false;
                                          // The kernel gives its number to another one.
                                          it->second.clocks.erase(pid_namespace.number);
                                          return true;
                                        }),
                         pid_namespaces.end());
    if (!pid_namespaces.empty()) return;
    last = it->second.container;
    lived_us = lived_until(it->second);
    it->second.lived_us = lived_us;
    it->second.has_ended = true;
  }
  const auto work = [this, id, last, lived_us] { finish(id, last, lived_us); };
  if (services_.attempts == nullptr) return work();
  services_.attempts->post(last->description().tenant_identity.pid_namespace, work);
}

void Registry::finish(ContainerId id, const std::shared_ptr<Container>& last, uint64_t lived_us) {
  // Another PID namespace of it may live, of which nobody has asked: then it goes on.
  auto other = resolver_.of_id(id, {kLookForOthersIn});
  if (other && !began_by(other.value(), lived_us)) other = Error{ESRCH, other.value().cgroup};
  auto pid_namespace = other ? pin(other.value()) : Result<PidNamespace>(other.error());
  // Mostly its cgroup goes with it, and there will be no other one in it.
  const bool is_over = pid_namespace || !resolver_.exists(id);
  auto used = is_over ? std::nullopt : last->used_cpu();
  if (used) sweep_ended();
  Containers gone;
  const std::lock_guard lock(mutex_);
  const auto it = containers_.find(id);
  if (it == containers_.end() || it->second.container != last || !it->second.pid_namespaces.empty())
    return;
  if (pid_namespace)
    return join_locked(it->second, other.value(), std::move(pid_namespace.value()));
  if (used) note_use_locked(*last, std::move(*used));
  // Of one that could not be looked for it is not known: its successor knows.
  if (pid_namespace.error().code != ESRCH) last->leave_kept();
  erase_locked(id, gone);
}

void Registry::sweep_ended() {
  std::vector<ContainerId> tenants;
  {
    const std::lock_guard lock(mutex_);
    if (ended_.size() < ended_sweep_) return;
    for (const auto& [id, used] : ended_) tenants.push_back(id);
  }
  // Not under the lock that all requests need: the kernel is asked about each.
  const auto there = [this](ContainerId id) { return resolver_.exists(id); };
  tenants.erase(std::remove_if(tenants.begin(), tenants.end(), there), tenants.end());
  const std::lock_guard lock(mutex_);
  for (const ContainerId id : tenants) ended_.erase(id);
  ended_sweep_ = std::max(kSweepAt, 2 * ended_.size());
}

void Registry::note_use_locked(const Container& ended, CpuUsageFacts used) {
  auto& its = ended_[ended.tenant().id()];
  if (its.size() >= kMaxEndedOfTenant) its.clear();
  its[ended.id()] = std::move(used);
}

std::optional<CpuUsageFacts> Registry::used_by_ended(const ContainerDescription& next,
                                                     const Tenant& tenant) {
  if (const auto last = known(next.id)) {
    if (auto used = last->used_cpu()) return used;
  }
  // Also after that: forget_dead() may have ended the last one meanwhile.
  const std::lock_guard lock(mutex_);
  const auto its = ended_.find(tenant.id());
  if (its == ended_.end()) return std::nullopt;
  const auto noted = its->second.find(next.id);
  return noted == its->second.end() ? std::nullopt : std::optional(noted->second);
}

void Registry::erase_locked(ContainerId id, Containers& gone) {
  const auto it = containers_.find(id);
  gone.push_back(it->second.container);
  gone.back()->mark_dead();
  containers_.erase(it);
}

void Registry::forget_gone(const std::vector<ContainerId>& ids) {
  Containers gone;
  const std::lock_guard lock(mutex_);
  for (const ContainerId id : ids) {
    if (containers_.count(id) != 0) erase_locked(id, gone);
  }
}

bool Registry::make_room(Tenant& tenant) {
  constexpr uint64_t kSweepEveryUs = 1000000, kSweepFrom = 16;
  const auto has_room = [&tenant] { return !tenant.resources().spent(Resource::kContainers); };
  const uint64_t count = tenant.resources().used(Resource::kContainers);
  if (has_room() && count < std::max(kSweepFrom, 2 * tenant.swept_to.load())) return true;
  std::vector<ContainerId> its;
  {
    const std::lock_guard lock(mutex_);
    const uint64_t now = boottime_us();
    if (now < tenant.swept_us + kSweepEveryUs) return has_room();
    tenant.swept_us = now;
    for (const auto& [id, entry] : containers_) {
      if (&entry.container->tenant() == &tenant) its.push_back(id);
    }
  }
  const size_t known = its.size();
  const auto there = [this](ContainerId id) { return resolver_.exists(id); };
  its.erase(std::remove_if(its.begin(), its.end(), there), its.end());
  tenant.swept_to = known - its.size();
  forget_gone(its);
  return has_room();
}

Result<bool> Registry::start(std::function<bool()> limits_changed) {
  limits_changed_ = std::move(limits_changed);
  epoll_ = Epoll::open();
  stop_ = Wake::open();
  if (!epoll_ || !stop_) return Error{errno, "epoll"};
  epoll_.add(stop_.fd(), kStop, EPOLLIN);
  if (unseen_.fd() >= 0) epoll_.add(unseen_.fd(), kNoRoom, EPOLLIN);
  if (services_.notifier != nullptr) {
    for (const int fd : services_.notifier->poll_fds()) {
      epoll_.add(fd, kLimitsChanged, EPOLLIN | EPOLLONESHOT);
    }
  }
  return watcher_.start([this] { watch(); });
}

bool Registry::look_at_limits() {
  services_.notifier->notice();
  // Until here one that was ready did not wake the thread again.
  for (const int fd : services_.notifier->poll_fds()) {
    epoll_.modify(fd, kLimitsChanged, EPOLLIN | EPOLLONESHOT);
  }
  return limits_changed_();
}

void Registry::watch() {
  go_along();
  // Once more for those that are told of again.
  constexpr int kAtOnce = 64, kRoom = 2 * kAtOnce;
  epoll_event events[kRoom];
  LimitLooks looks;
  for (;;) {
    uint64_t asked_us = boottime_us();
    int n = epoll_.wait(events, kAtOnce, 0);
    if (n == 0) {
      heard_us_.store(kHears, std::memory_order_relaxed);
      const uint64_t look_us = looks.due_us(), unseen_us = unseen_.due_us();
      // The earlier one; 0, which is never, wraps round to the latest.
      n = epoll_.wait(events, kAtOnce, wait_ms_until(std::min(look_us - 1, unseen_us - 1) + 1));
      // What has ended since it was woken is not among them: it may have been kept from running.
      const uint64_t woken_us = boottime_us();
      if (n >= 0 && n < kAtOnce) {
        const int more = epoll_.wait(events + n, kRoom - n, 0);
        n = more < 0 ? n : n + more;
        if (more >= 0 && n < kRoom) asked_us = woken_us;
      }
      heard_us_.store(asked_us, std::memory_order_relaxed);
    }
    if (n < 0 && errno != EINTR) return;
    for (int i = 0; i < n; ++i) {
      if (events[i].data.u64 == kStop) return;
      if (events[i].data.u64 == kLimitsChanged) {
        looks.note_change();
      } else if (events[i].data.u64 == kNoRoom) {
        unseen_.look_again();
      } else {
        forget_dead(ContainerId::from_packed(events[i].data.u64));
      }
    }
    // Whoever was not among them lived then.
    if (n >= 0 && n < kAtOnce) heard_us_.store(asked_us, std::memory_order_relaxed);
    if (unseen_.due_us() != 0 && unseen_.due_us() <= boottime_us()) unseen_.step();
    if (looks.is_due()) looks.run([this] { return look_at_limits(); });
  }
}

void Registry::stop() {
  if (!watcher_.joinable()) return;
  if (!stop_.ring()) return;
  watcher_.join();
}

}  // namespace vprocfs
