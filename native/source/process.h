#pragma once

#include <sys/types.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "base/directory.h"
#include "base/result.h"
#include "source/cgroup_mounts.h"
#include "source/process_stat.h"

namespace vprocfs {

/// Calls `visit(pid)` or `visit(pid, entry)`, with its entry of the directory, for each process of
/// a procfs, until it returns false.
template <typename Visit>
int for_each_process(int procfs_fd, Visit visit) {
  return for_each_entry(open_directory(procfs_fd, "."), [&](const dirent& entry) {
    if (entry.d_name[0] < '1' || entry.d_name[0] > '9') return true;
    const auto pid = static_cast<pid_t>(std::strtol(entry.d_name, nullptr, 10));
    if constexpr (std::is_invocable_v<Visit, pid_t, const dirent&>) {
      return bool{visit(pid, entry)};
    } else {
      return bool{visit(pid)};
    }
  });
}

/// What /proc/<pid>/stat tells of a process.
struct ProcessStat {
  uint64_t start_ticks = 0;  ///< its start in ticks (1/USER_HZ s) since boot
  /// A signal has ended it or is about to; or a fault of its own has it get one that will.
  bool is_killed = false;
  bool is_ending = false;  ///< it tells nothing of its cgroups of v1 any more
};

/// ESRCH when gone.
Result<ProcessStat> read_process_stat(int procfs_fd, pid_t pid);
Result<uint64_t> read_start_ticks(int procfs_fd, pid_t pid);

/// /proc/<pid>/cgroup, as seen from the reading thread's cgroup namespace. ESRCH when gone.
Result<CgroupPaths> read_cgroup_paths(int procfs_fd, pid_t pid);

/// Translates the errno of opening a process's files: ESRCH (the process is gone), unless the cause
/// is on our side (no descriptors, no memory).
int process_errno(int errno_value);

/// The inode number that names a process's namespace of a kind ("/proc/<pid>/ns/pid" ->
/// "pid:[4026531836]"). `process`: its directory, which may be "self". ESRCH when gone; one that
/// has ended and was not waited for still has that of its PIDs.
Result<uint64_t> read_namespace(int procfs_fd, const std::string& process, const char* kind);

/// Those that say which container a process is in.
struct NamespaceIds {
  uint64_t pid = 0, cgroup = 0;
};
Result<NamespaceIds> read_namespaces(int procfs_fd, pid_t pid);

/// As read_namespace().
Result<uint64_t> read_pid_namespace(int procfs_fd, pid_t pid);
Result<uint64_t> read_user_namespace(int procfs_fd, pid_t pid);

/// Its effective capabilities, in its own user namespace (CapEff of /proc/<pid>/status). ESRCH when
/// gone.
Result<uint64_t> read_capabilities(int procfs_fd, pid_t pid);

/// `count` users of a user namespace from `inside` on, which we see as those from `outside` on.
struct UserRange {
  uint64_t inside = 0, outside = 0, count = 0;
};
/// Those of /proc/<pid>/uid_map. ESRCH when gone.
Result<std::vector<UserRange>> read_users(int procfs_fd, pid_t pid);

/// The user that a user namespace calls root, as we see it (/proc/<pid>/uid_map). ESRCH when the
/// process is gone; ENOENT: there is no root.
Result<uint64_t> read_root_user(int procfs_fd, pid_t pid);

/// The process's PID in its own (innermost) PID namespace: last number of status' NSpid.
Result<pid_t> read_inner_pid(int procfs_fd, pid_t pid);

/// The parent of a process, as seen from the host (PPid of /proc/<pid>/status). ESRCH when gone.
Result<pid_t> read_parent(int procfs_fd, pid_t pid);

/// What a process's time namespace adds to CLOCK_BOOTTIME as we see it, µs: boottime of
/// /proc/<pid>/timens_offsets less our own. 0 without a time namespace or in kernels before 5.5.
/// (The file tells of the namespace that the process's children will be in, which is its own unless
/// it was the one that made it.)
int64_t read_boottime_offset(int procfs_fd, pid_t pid);

}  // namespace vprocfs
