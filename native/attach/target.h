#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "source/mount_table.h"

namespace vprocfs {

/// A process whose mount namespace is to be worked on, pinned: whatever is read through it is of
/// that process or an error, and never of one that has its number by now. Paths are those of the
/// namespace's root, also when the process itself has a root below it (a chroot).
class Target {
 public:
  /// ESRCH: there is no such process, or it ended meanwhile. Only what the process itself says is
  /// read: see refresh().
  static Result<Target> open(pid_t pid);

  /// This process itself, with its mounts read.
  static Result<Target> own();

  bool ended() const;
  const MountTable& mounts() const { return mounts_; }
  /// Looks at the namespace and its mounts, anew at each call: moves this (single-threaded) process
  /// into it for a moment, unless it is there. ESRCH: it has ended.
  Result<bool> refresh();

  /// Where root file systems with a procfs of this process's PID namespace are: "" for the root of
  /// the namespace. What else has such a procfs, as a chroot that is being built, is none of ours,
  /// but with `before_pivot`, when a runtime tells of a container that it has not moved to its root
  /// yet: then also the paths above ("/bundle/rootfs"), at most 16. Mounts that runtimes keep apart
  /// for containers in this one (/dev/.lxc/proc) are never any.
  std::vector<std::string> roots(bool before_pivot) const;
  /// Why roots() has found none.
  std::string why_no_root() const;

  /// True when the process runs a program out of the namespace, and not one of a runtime that is
  /// still at work on it. By the mounts that were read last.
  bool runs_own_program() const;

  /// O_PATH descriptor of a path below the namespace's root; no symlink is followed.
  Fd open_path(const std::string& path, int flags) const;

  /// Moves this (single-threaded) process into the mount namespace for good.
  Result<bool> enter();
  /// This process's own entry in the procfs that it was started with ("ns/mnt", "fd/3").
  int own_directory() const { return own_.get(); }

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
  Result<bool> look();

  Fd pidfd_, directory_, root_, own_;
  bool entered_ = false;
  MountTable mounts_;
  std::string pid_namespace_;
  uint64_t mount_namespace_ = 0;
  uint64_t start_ticks_ = 0;
};

}  // namespace vprocfs
