#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "container/census.h"
#include "container/prompt_resolver.h"
#include "klog/known_process.h"
#include "source/cgroup_mounts.h"
#include "source/tasks/exited_tasks.h"

namespace vprocfs {

/// A container that may own records.
struct LogOwner {
  ContainerDescription description;
  Fd init;                             ///< pidfd
  size_t depth = 0;                    ///< of its PID namespace below the host's
  std::string memory_path, pids_path;  ///< empty: it has no cgroup of its own there
};

/// The containers of the host and their processes, used to prove which container a line belongs to.
/// Looks for new containers only when a question needs it. Not thread-safe; borrows its arguments.
class LogOwners {
 public:
  LogOwners(const CgroupMounts& mounts, const PromptResolver& resolver, int procfs_fd);
  /// From now on processes that have ended are found too.
  void remember_exited(std::unique_ptr<ExitedTasks> exited) { exited_ = std::move(exited); }

  /// Looks for all containers, unless that was done just now.
  void look(uint64_t now_us);
  /// Checks a few of the processes that the last look knew already. False: all are checked.
  bool check_some(uint64_t now_us);

  using Owners = std::vector<const LogOwner*>;
  enum class Path : uint8_t { kMemory, kPids, kUnified };
  static constexpr size_t kPaths = 3;
  /// The containers that a cgroup is in, the outermost first. If none is known, looks at processes
  /// in the cgroup, and then for all containers. Valid until the next look.
  Owners of_path(Path which, const std::string& path, uint64_t now_us);
  /// The containers that a process is in. Valid until the next look.
  Owners of_process(const KnownProcess& process, uint64_t now_us);
  /// Whether a kill was in the memory cgroup that has this path now, which another one may have had
  /// before. Nothing where the kernel does not tell, and where the cgroup is gone.
  std::optional<bool> had_kill(const std::string& memory_path) const;

  /// The process that has the PID, and the last one that had it and has ended.
  PidHolders holders(pid_t pid) const { return {living(pid), ended(pid)}; }
  /// The same to find which process had the PID at a moment, CLOCK_BOOTTIME: leaves out the living
  /// one if the ended one is proven to be it.
  PidHolders holders_at(pid_t pid, uint64_t at_us) const;
  /// The last process that had the PID and has ended.
  std::optional<KnownProcess> ended(pid_t pid) const;
  /// Whether processes that have ended are found.
  bool remembers() const { return static_cast<bool>(exited_); }
  /// The process that had the PID when it printed a record at `at_us`, CLOCK_BOOTTIME. `cgroup`: as
  /// Printer::cgroup. Nothing: that is not proven.
  std::optional<KnownProcess> printer(pid_t pid, uint64_t at_us, uint64_t cgroup) const;
  /// Whether a process is in a container's PID namespace, or in one nested in it.
  static bool is_inside(const KnownProcess& process, const LogOwner& owner);

 private:
  using Map = std::unordered_map<std::string, const LogOwner*>;
  bool look_in(Path which, const std::string& path, uint64_t now_us);
  Attempts::Payer payer_of(Path which, const std::string& path) const;
  /// What a file of a cgroup begins with; nothing where it cannot be read, or not before long.
  std::optional<std::string> read_in(Path which, const std::string& path, const char* name) const;
  const Hierarchy* hierarchy(Path which) const;
  void add(Census::Discovered one);
  void check(ContainerId id);
  void remove(ContainerId id);
  void add_paths(LogOwner& owner);
  void remove_paths(const LogOwner& owner);
  Owners find(Path which, const std::string& path) const;
  bool all_exist(const Owners& owners) const;
  bool is_around_us(Path which, const std::string& path) const;
  std::string path_of(const CgroupPaths& paths, Path which) const;
  std::string own_path_of(const ContainerDescription& container, Path which) const;

  std::optional<KnownProcess> living(pid_t pid) const;
  bool is_in_cgroup(const KnownProcess& process, uint64_t cgroup) const;
  const LogOwner* of_namespace(const KnownProcess& process) const;
  const LogOwner* of_innermost(const KnownProcess& process) const;

  const CgroupMounts& mounts_;
  const PromptResolver resolver_;
  const int procfs_fd_;
  const uint64_t own_namespace_;  ///< of PIDs: the host's
  std::array<std::string, kPaths> own_paths_;
  std::unique_ptr<ExitedTasks> exited_;
  Census census_;
  std::map<ContainerId, std::unique_ptr<LogOwner>> owners_;
  std::array<Map, kPaths> by_path_;
  std::unordered_multimap<uint64_t, const LogOwner*> by_namespace_;  ///< of PIDs
  uint64_t looked_us_ = 0, next_look_us_ = 0;
  struct {
    Path which = Path::kMemory;
    std::string path;
    uint64_t at_us = 0;
  } looked_in_;             ///< the cgroup that of_path() looked into last
  bool is_checked_ = true;  ///< see check_some()
};

}  // namespace vprocfs
