#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "source/cgroup_mounts.h"
#include "source/container_id.h"
#include "source/process.h"
#include "tenant/identity.h"

namespace vprocfs {

/// A container as found through one of its processes. Immutable.
struct ContainerDescription {
  ContainerId id;
  CgroupPaths paths;           ///< the container's own cgroups, per hierarchy
  std::string cgroup;          ///< the path that `id` names
  pid_t init = 0;              ///< of its PID namespace, as we see it
  uint64_t init_start_us = 0;  ///< CLOCK_BOOTTIME
  /// What its time namespace adds to that clock; 0 without one.
  int64_t boottime_offset_us = 0;
  NamespaceIds namespaces;  ///< of the process it was found through, or of its init
  /// The outermost container around it, whose budgets it shares; `id` itself where it is in none.
  ContainerId tenant;
  std::string tenant_cgroup;  ///< the path that `tenant` names
  /// By which what a tenant has is counted. `tenant` is only its name at the moment.
  TenantIdentity tenant_identity;
};

/// The cgroups that a container has by now; nothing: the `known` ones, as far as its init tells. Of
/// one that the init has been moved out of, the one that it is in now; and of one above `cgroup`,
/// which was not made for the container. Cgroups below its own are its own business. Only cgroups
/// of v1 can change: in cgroup2 another one is another container.
std::optional<CgroupPaths> moved_paths(int procfs_fd, const ContainerDescription& container,
                                       const CgroupPaths& known);

/// The same for a container that is asked about again and again: keeps the file open, and parses it
/// only if its text has changed. Not thread-safe.
class CgroupMoveDetector {
 public:
  explicit CgroupMoveDetector(int procfs_fd) : procfs_fd_(procfs_fd) {}

  /// As moved_paths(), always of the same container. After a move, close().
  std::optional<CgroupPaths> find(const ContainerDescription& container, const CgroupPaths& known);
  /// Closes its one descriptor, and forgets.
  void close();

 private:
  int procfs_fd_;
  Fd file_;           ///< of the process that was the init when it was opened, and of no other
  std::string said_;  ///< the last text, if the container had not been moved by that
};

/// Finds containers. Thread-safe (const after construction); borrows its descriptors.
class Resolver {
 public:
  /// Cgroups of a container in which a process of it is looked for.
  static constexpr size_t kMaxCgroupsSearched = 4096;

  Resolver(const CgroupMounts& mounts, int procfs_fd);

  /// Reads our own namespaces: what "the host" is. Must succeed before anything else is asked.
  Result<bool> open();

  /// The container that a process (or thread) is in; nullopt for a process of the host: one in our
  /// own PID namespace, or one whose container has no cgroup of its own. PID namespaces within a
  /// container's that have no cgroup of their own (bwrap, unshare) are a part of it: its init is
  /// the outermost one's. ESRCH when it is gone.
  Result<std::optional<ContainerDescription>> of_process(pid_t pid) const;

  /// The init of the PID namespace around that of `init`; nullopt: that is the host's. ESRCH when
  /// one of them is gone.
  Result<std::optional<pid_t>> outer_init(pid_t init) const;

  /// The number of the outermost PID namespace below our own that a process is in; 0: it is in our
  /// own, or gone. Asks nothing that a container could keep from being answered.
  uint64_t outermost_namespace(pid_t pid) const;

  /// The cgroups of an init; of those that systemd has made for itself inside, the ones above.
  Result<CgroupPaths> init_paths(pid_t init) const;
  /// What a container with these cgroups and this init is, but for namespaces and tenant. False:
  /// every cgroup is one that we live in or below. ESRCH: one of its own is not there any more.
  Result<bool> describe(CgroupPaths paths, pid_t init, ContainerDescription& out) const;

  /// How of_id() looks for a process.
  struct Search {
    size_t max_cgroups = kMaxCgroupsSearched;
    /// ESRCH is to prove that nobody lives there: a search that did not see everybody answers
    /// EAGAIN.
    bool must_prove = false;
    /// CPU time that it may take, µs: EAGAIN after that.
    uint64_t cpu_us = UINT64_MAX;
  };
  /// The container with this identity, found through any process in it. ESRCH: nobody lives there,
  /// as far as the search went.
  Result<ContainerDescription> of_id(ContainerId id, const Search& search) const;

  /// The properties of a process that decide which container it is in, but where containers share a
  /// PID and a cgroup namespace. ESRCH when it is gone. Of the host's own processes only the PID
  /// namespace is looked at: they all get own()'s namespaces.
  struct Placement {
    NamespaceIds namespaces;
    uint64_t cgroups = 0;  ///< stands for its cgroups where no cgroup namespace does
    friend bool operator<(const Placement& a, const Placement& b) {
      return std::tie(a.namespaces.pid, a.namespaces.cgroup, a.cgroups) <
             std::tie(b.namespaces.pid, b.namespaces.cgroup, b.cgroups);
    }
  };
  Result<Placement> placement_of(pid_t pid) const {
    return placement_of(pid, [this](pid_t one) { return cgroups_of(one); });
  }
  /// The same for a caller that caches what cgroups_of() returns.
  using CgroupsOf = std::function<Result<uint64_t>(pid_t)>;
  Result<Placement> placement_of(pid_t pid, const CgroupsOf& ask) const;
  Result<uint64_t> cgroups_of(pid_t pid) const;

  /// Whether the cgroup that a container has its identity from is still there, as far as is known.
  bool exists(ContainerId id) const;

  /// A pidfd of the container's init. ESRCH when it is gone, and only then.
  Result<Fd> pin_init(const ContainerDescription& description) const;

  const NamespaceIds& own() const { return own_; }
  /// The procfs that it reads.
  int procfs() const { return procfs_fd_; }

 private:
  Result<pid_t> find_init(pid_t pid, uint64_t pid_namespace) const;
  /// The same by looking at every process.
  Result<pid_t> scan_for_init(uint64_t pid_namespace) const;
  /// The cgroups of the container that a process is in; `init` is its PID namespace's.
  Result<CgroupPaths> container_paths(pid_t pid, pid_t init, const NamespaceIds& ns) const;
  /// Those of the container that an init began.
  Result<CgroupPaths> home_of(pid_t init) const;
  struct NamespaceRoot {
    CgroupPaths paths;
    /// The process was moved out of it in some hierarchies: there `paths` are where it is now.
    bool is_left = false;
  };
  /// The root of its cgroup namespace. EXDEV: it does not stop moving.
  Result<NamespaceRoot> namespace_root(pid_t pid) const;
  bool own_or_above(const std::string& path, const std::string& own) const;
  /// False and ESRCH as describe().
  Result<bool> identify(const CgroupPaths& paths, ContainerDescription& out) const;
  /// Without a descriptor errno says why.
  Fd open_cgroup(ContainerId id) const;

  const CgroupMounts& mounts_;
  int procfs_fd_;
  NamespaceIds own_;
  CgroupPaths own_paths_;
  Fd own_cgroup_ns_;
};

}  // namespace vprocfs
