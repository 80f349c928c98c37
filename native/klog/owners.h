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
#include "container/resolve.h"
#include "klog/known_process.h"
#include "source/cgroup_mounts.h"
#include "source/tasks/exited_tasks.h"

namespace vprocfs {

/// A container whose log something may be for.
struct LogOwner {
  ContainerDescription description;
  Fd init;           ///< pidfd
  size_t depth = 0;  ///< of its PID namespace below the host's
  std::string memory_path, pids_path;
};

/// The containers of the host and their processes, used to prove which container a line belongs to.
/// Searches for new containers only when it is asked something. Not thread-safe; borrows its
/// arguments.
class LogOwners {
 public:
  LogOwners(const CgroupMounts& mounts, const Resolver& resolver, int procfs_fd);
  /// Processes that have ended are found too, if they ended after this.
  void remember_exited(std::unique_ptr<ExitedTasks> exited) { exited_ = std::move(exited); }

  /// Takes in which containers there are, unless it has done so just now.
  void look(uint64_t now_us);
  /// Has a few of the processes that looks have known for long checked again. False: nothing is
  /// left to check until the next look.
  bool check_some(uint64_t now_us);

  using Owners = std::vector<const LogOwner*>;
  enum class Path : uint8_t { kMemory, kPids, kUnified };
  static constexpr size_t kPaths = 3;
  /// Those that a cgroup is in, the outermost first. Looks again where that may find more: at the
  /// processes in it, and where these tell nothing at all of the host. Valid until the next look.
  Owners of_path(Path which, const std::string& path, uint64_t now_us);
  /// Those that a process is in.
  Owners of_process(const KnownProcess& process, uint64_t now_us);

  /// Who has that number, and who had it last.
  PidHolders holders(pid_t pid) const { return {living(pid), ended(pid)}; }
  /// The same for the process that had it at a moment, CLOCK_BOOTTIME. Does not look up the process
  /// that has it now if that adds nothing.
  PidHolders holders_at(pid_t pid, uint64_t at_us) const;
  /// Who had it last and has ended.
  std::optional<KnownProcess> ended(pid_t pid) const;
  /// Whether those that have ended are remembered.
  bool remembers() const { return static_cast<bool>(exited_); }
  /// Whether who has it and is as young as the moment is uncertain may be meant.
  enum class Young : uint8_t { kNever, kMaybe };
  /// Who had it at a moment; nothing: that is not known.
  std::optional<KnownProcess> process(pid_t pid, const LogMoment& moment,
                                      Young young = Young::kNever) const;
  /// Who had it when it printed something, `at_us` of CLOCK_BOOTTIME, being in a cgroup as
  /// Printer::cgroup says. Nothing: that is not proven.
  std::optional<KnownProcess> printer(pid_t pid, uint64_t at_us, uint64_t cgroup) const;
  /// Whether a process is of a container, as far as PID namespaces tell.
  static bool is_inside(const KnownProcess& process, const LogOwner& owner);

 private:
  using Map = std::unordered_map<std::string, const LogOwner*>;
  bool look_in(Path which, const std::string& path, uint64_t now_us);
  const Hierarchy* hierarchy(Path which) const;
  void add(Census::Discovered one);
  void remove(ContainerId id);
  Owners find(Path which, const std::string& path) const;
  std::string path_of(const CgroupPaths& paths, Path which) const;

  std::optional<KnownProcess> living(pid_t pid) const;
  bool is_in_cgroup(const KnownProcess& process, uint64_t cgroup) const;
  const LogOwner* of_namespace(const KnownProcess& process) const;
  const LogOwner* of_innermost(const KnownProcess& process) const;

  const CgroupMounts& mounts_;
  const int procfs_fd_;
  const uint64_t own_namespace_;  ///< of PIDs: the host's
  std::unique_ptr<ExitedTasks> exited_;
  Census census_;
  std::map<ContainerId, std::unique_ptr<LogOwner>> owners_;
  std::array<Map, kPaths> by_path_;
  std::unordered_multimap<uint64_t, const LogOwner*> by_namespace_;  ///< of PIDs
  uint64_t looked_us_ = 0, next_look_us_ = 0;
  bool is_checked_ = true;  ///< see check_some()
};

}  // namespace vprocfs
