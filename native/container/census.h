#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "container/prompt_resolver.h"

namespace vprocfs {

/// The containers of a host. They are remembered between two looks, so that a look costs as much as
/// has changed. Not thread-safe; borrows its arguments.
class Census {
 public:
  struct Discovered {
    ContainerDescription description;
    Fd init;  ///< pidfd
  };
  /// Called for what a look finds.
  struct Callbacks {
    std::function<void(Discovered)> discovered;
    std::function<void(ContainerId)> left;
    /// It is still there, and may have been moved to other cgroups: see moved_paths().
    std::function<void(ContainerId)> checked;
  };

  /// Reports at most `limit` containers, and at most its share of a tenant: a container that can
  /// nest may create any number.
  Census(const PromptResolver& resolver, int procfs_fd, size_t limit, Callbacks callbacks)
      : resolver_(resolver),
        procfs_fd_(procfs_fd),
        limit_(limit),
        callbacks_(std::move(callbacks)) {}

  /// Whether a look also checks again, now and then, what it has known for long.
  enum class Old : uint8_t { kCheck, kLeave };
  /// Reports what has changed since the last look. A container that starts meanwhile may first be
  /// reported with another id, which leaves when the right one is known. `now_us` is
  /// CLOCK_BOOTTIME.
  void look(uint64_t now_us, Old old = Old::kCheck);

  /// Takes in the containers that a process is in, without a look at any other process. False: it
  /// is in none.
  bool look_at(pid_t pid, uint64_t now_us);

  /// Checks again what Old::kLeave has left, `count` processes at once. False: nothing is left to
  /// check.
  bool check_old(uint64_t now_us, size_t count);

  /// How many containers were left out because they are too many, or cannot be found or pinned
  /// although they live.
  size_t left_out() const;

 private:
  struct Seen {
    uint64_t inode = 0;  ///< of its directory in the procfs: another one is another process's
    uint64_t since_us = 0;
    uint64_t look = 0;     ///< at which it was last seen
    ContainerId in;        ///< as far as is known
    bool settled = false;  ///< old enough, when last seen, to stay where it is
  };
  struct KnownPlacement {
    ContainerId id;  ///< none: no container, or with `missed` an unknown one
    uint64_t since_us = 0, checked_us = 0;
    bool left_out = false;    ///< it lives and is not reported
    bool missed = false;      ///< because something was short: it is looked for again
    uint64_t existed_us = 0;  ///< when the kernel last said that the container's cgroup is there
  };
  using Placements = std::map<Resolver::Placement, KnownPlacement>;

  bool is_old(uint64_t now_us) const;
  void begin_check(uint64_t now_us);
  void drop_dead();
  void replace(ContainerId other);
  void drop_gone();
  void settle_doubts();
  /// False: something was short, and it has to be looked at again. `in`: the container that the
  /// process was in when it was last visited, and now.
  bool visit(pid_t pid, uint64_t now_us, ContainerId& in);
  bool visit(const Resolver::Placement& at, pid_t pid, uint64_t now_us, ContainerId was_in);
  bool exists(KnownPlacement& placement, uint64_t now_us) const;
  bool exists(ContainerId id) const { return resolver_.exists(id, payer_of(id)); }
  Attempts::Payer payer_of(ContainerId id) const;
  /// Takes note of what was found at a placement: as visit().
  using Found = Result<std::optional<ContainerDescription>>;
  bool take(const Resolver::Placement& at, Found found, uint64_t now_us);
  void leave(const std::set<ContainerId>& ids);
  bool has_room(const TenantIdentity& tenant) const;

  const PromptResolver resolver_;
  const int procfs_fd_;
  const size_t limit_;
  const Callbacks callbacks_;
  std::unordered_map<pid_t, Seen> processes_;
  uint64_t looks_ = 0;  ///< how many there were
  Placements placements_;
  struct Init {
    int fd = -1;  ///< a pidfd that the receiver of Discovered owns
    TenantIdentity tenant;
  };
  std::map<ContainerId, Init> inits_;
  /// Those of which nobody was seen where they were known: they may have ended.
  std::set<ContainerId> doubted_;
  ContainerId tried_last_;                       ///< of those: settle_doubts() goes on after it
  std::map<TenantIdentity, size_t> of_tenants_;  ///< how many of `inits_` each has
  uint64_t full_us_ = 0;         ///< when all of it was checked last, or began to be
  std::vector<pid_t> to_check_;  ///< by check_old()
};

}  // namespace vprocfs
