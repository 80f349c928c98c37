#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "source/mount_table.h"

namespace vprocfs {

/// A process whose mount namespace is to be worked on, pinned: whatever is read through it is of
/// that process or an error, and never of one that has its number by now.
class Target {
 public:
  /// ESRCH: there is no such process, or it ended meanwhile.
  static Result<Target> open(pid_t pid);

  bool ended() const;
  const MountTable& mounts() const { return mounts_; }
  /// Reads the mounts again. ESRCH: it has ended.
  Result<bool> refresh();

  /// Where root file systems with a procfs of this process's PID namespace are: "" for the
  /// process's own root, else the path above ("/bundle/rootfs" before a runtime has pivoted there,
  /// or a chroot). Mounts that runtimes keep apart for containers in this one (/dev/.lxc/proc) are
  /// none. At most 16.
  std::vector<std::string> roots() const;
  /// Why roots() has found none.
  std::string why_no_root() const;

  /// O_PATH descriptor of a path below the process's root; no symlink is followed.
  Fd open_path(const std::string& path, int flags) const;

  /// Moves this (single-threaded) process into the mount namespace.
  Result<bool> enter() const;

  /// The number of the mount namespace: a key for locks.
  uint64_t mount_namespace() const { return mount_namespace_; }
  bool in_namespace_of(const Target& other) const {
    return mount_namespace_ == other.mount_namespace_;
  }
  /// Start in ticks since boot: with the PID, names the process for good.
  uint64_t start_ticks() const { return start_ticks_; }

 private:
  Target() = default;
  bool is_own_proc(const MountEntry& entry) const;

  Fd pidfd_, directory_, root_;
  MountTable mounts_;
  std::string pid_namespace_;
  uint64_t mount_namespace_ = 0;
  uint64_t start_ticks_ = 0;
};

}  // namespace vprocfs
