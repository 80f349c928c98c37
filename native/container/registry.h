#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/epoll.h"
#include "base/fd.h"
#include "base/result.h"
#include "base/thread.h"
#include "base/wake.h"
#include "container/container.h"
#include "container/prompt_resolver.h"
#include "container/resolve.h"
#include "container/unseen_ends.h"

namespace vprocfs {

/// The containers that were asked about. Thread-safe.
class Registry {
 public:
  Registry(const Resolver& resolver, SharedServices services);
  ~Registry() { stop(); }

  /// ESRCH: there is no such container, or no process was found in the first `max_cgroups` of its
  /// cgroups. ENFILE: its tenant has too many containers.
  Result<std::shared_ptr<Container>> by_id(ContainerId id,
                                           size_t max_cgroups = Resolver::kMaxCgroupsSearched);

  /// The same for an operator: its tenant neither pays for it nor has a refusal counted.
  Result<std::shared_ptr<Container>> for_operator(ContainerId id);
  /// The same for a process of the host, in no tenant's turn. EAGAIN: that keeps us from finding
  /// it.
  Result<std::shared_ptr<Container>> for_host(ContainerId id);
  /// The same if its init is known, and before long, whatever the container does: EAGAIN then.
  /// ESRCH: that is not its init.
  Result<std::shared_ptr<Container>> for_operator(ContainerId id, pid_t init);

  /// The age of a container to a process: that of the process's PID namespace, of which a container
  /// may have several.
  PidNamespaceClock clock_of(Container& container, pid_t pid);

  /// nullptr: a process of the host. ESRCH: the process is gone, or not visible to us (pid 0).
  Result<std::shared_ptr<Container>> by_process(pid_t pid);

  /// A stand-in for a container that is no more: whatever is asked of it fails with ESRCH.
  std::shared_ptr<Container> ended(ContainerId id);

  /// All containers with processes, whether asked about or not; without those that keep us from
  /// finding them.
  std::vector<ContainerDescription> list() const { return prompt_.scan(); }

  /// The containers with state in memory.
  std::vector<std::shared_ptr<Container>> known() const;

  /// One of them; nullptr when it is not there.
  std::shared_ptr<Container> known(ContainerId id) const;

  /// Containers with state in memory.
  size_t size() const;

  /// For what a container may keep from being answered, on threads that others need.
  const PromptResolver& prompt() const { return prompt_; }
  /// nullptr: there are none.
  Attempts* attempts() const { return services_.attempts; }

  /// Watches for the end of containers on a thread of its own.
  /// `limits_changed` is called from it when somebody wrote to a limit of any container, and again
  /// a little later as long as it returns false.
  Result<bool> start(std::function<bool()> limits_changed);
  void stop();

 private:
  /// A PID namespace of a container: mostly the only one.
  struct PidNamespace {
    uint64_t number = 0;
    Fd init;  ///< pidfd: readable once the init is dead
  };
  struct NotedClock {
    PidNamespaceClock clock;
    /// CLOCK_BOOTTIME: until then it stands. Nobody hears of the end of a PID namespace that is not
    /// the container's own, and the kernel gives its number to another one.
    uint64_t until_us = 0;
  };
  using Clocks = std::map<uint64_t, NotedClock>;
  struct Entry {
    std::shared_ptr<Container> container;
    std::vector<PidNamespace> pid_namespaces;
    /// When each PID namespace began of which somebody asked, by its number.
    Clocks clocks;
    uint64_t lived_us = 0;   ///< CLOCK_BOOTTIME: when one of them was last seen alive
    bool has_ended = false;  ///< none of them is left, and until when it lived is known
  };
  static constexpr size_t kSweepAt = 256;
  struct Caller {
    /// Weak: nobody looks for the callers of one that ends.
    std::weak_ptr<Container> container;
    uint64_t until_us = 0;
    bool refused = false;  ///< its tenant has too many containers
  };

  enum class Asker : uint8_t { kTenant, kOperator };
  Result<std::shared_ptr<Container>> by_id(ContainerId id, size_t max_cgroups, Asker asker,
                                           const PromptResolver& resolver);
  Result<std::shared_ptr<Container>> adopt(ContainerDescription description,
                                           Asker asker = Asker::kTenant);
  /// Who pays for a container: one for each outermost PID namespace, and for each outermost
  /// container, of which the host may make several.
  std::shared_ptr<Tenant> tenant(const ContainerDescription& description);
  /// Makes room for a container of a tenant: when the tenant has reached its limit, and when it has
  /// twice as many as the last time, forgets its containers whose cgroup is gone although their
  /// init lives on (shared PID namespaces). False: there is none.
  bool make_room(Tenant& tenant);
  /// Forgets containers whose cgroups are gone, those of them that are known.
  void forget_gone(const std::vector<ContainerId>& ids);
  /// Whether one of its PID namespaces has not ended. `now_us`, CLOCK_BOOTTIME: of a moment before.
  static bool lives(Entry& entry, uint64_t now_us);
  /// Until when one that has ended lived at least, as far as is known. CLOCK_BOOTTIME.
  uint64_t lived_until(const Entry& entry) const;
  /// Whether it is the container that was found.
  bool is_of(Entry& entry, const ContainerDescription& found) const;
  /// Pins the init of a container, and watches for its end. Nothing when it is gone.
  Result<PidNamespace> pin(const ContainerDescription& description);
  /// Counts another PID namespace of a container that is known.
  void join_locked(Entry& entry, const ContainerDescription& description,
                   PidNamespace pid_namespace);
  /// Does that if it is known; nullptr, and nothing is taken, if not.
  std::shared_ptr<Container> join_known_locked(const ContainerDescription& found,
                                               PidNamespace& pid_namespace);
  /// Of all PID namespaces that somebody asked from, keeps only the container's own.
  static void forget_visitors_locked(Entry& entry);
  /// Notes which of its PID namespaces have ended. If none is left, finishes that on a thread of
  /// its tenant.
  void forget_dead(ContainerId id);
  void finish(ContainerId id, const std::shared_ptr<Container>& last, uint64_t lived_us);
  /// Forgets what was noted of tenants that are gone, now and then.
  void sweep_ended();
  void note_use_locked(const Container& ended, CpuUsageFacts used);
  /// CPU time that containers which have ended used in its cgroup, as far as that is known.
  std::optional<CpuUsageFacts> used_by_ended(const ContainerDescription& next,
                                             const Tenant& tenant);
  Result<uint64_t> cgroups_of(pid_t pid);
  using Containers = std::vector<std::shared_ptr<Container>>;
  /// Moves one into `gone`, to be destroyed without the lock.
  void erase_locked(ContainerId id, Containers& gone);
  bool look_at_limits();
  void watch();

  const Resolver& resolver_;
  const SharedServices services_;
  const PromptResolver patient_, prompt_;  ///< the latter for threads that others need
  mutable std::mutex mutex_;
  std::unordered_map<ContainerId, Entry, ContainerIdHash> containers_;
  std::unordered_map<ContainerId, std::weak_ptr<Tenant>, ContainerIdHash> tenants_;
  std::map<TenantIdentity, std::weak_ptr<Tenant>> tenants_by_identity_;
  using Callers = std::map<Resolver::Placement, Caller>;
  Callers callers_;
  struct ThreadCgroups {
    uint64_t cgroups = 0, until_us = 0;
  };
  /// Containers that were looked for at length and in vain, and until when nobody looks again.
  std::unordered_map<ContainerId, uint64_t, ContainerIdHash> absent_;
  /// What the cgroups of containers that have ended had used then, by their tenants.
  using UseAtEnd = std::map<ContainerId, CpuUsageFacts>;
  std::unordered_map<ContainerId, UseAtEnd, ContainerIdHash> ended_;
  /// Of threads without a cgroup namespace.
  std::unordered_map<pid_t, ThreadCgroups> thread_cgroups_;
  size_t tenant_sweep_ = kSweepAt;  ///< tenants at which to look for those that are no more
  size_t ended_sweep_ = kSweepAt;   ///< the same for the tenants in ended_
  UnseenEnds unseen_;               ///< the watcher's
  std::function<bool()> limits_changed_;
  static constexpr uint64_t kHears = UINT64_MAX;
  /// CLOCK_BOOTTIME: until then the watcher knew of all ends, but for those that it handled
  /// already. kHears: it does now.
  std::atomic<uint64_t> heard_us_{boottime_us()};
  Epoll epoll_;
  Wake stop_;
  Thread watcher_;
};

}  // namespace vprocfs
