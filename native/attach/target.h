#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attach/kernel.h"
#include "base/fd.h"
#include "base/pidfd.h"
#include "base/result.h"
#include "source/mount_table.h"

namespace vprocfs {

/// A directory in a container that Target::open_directory() has opened. It stays that directory,
/// whatever is mounted over it meanwhile: all files in it are worked on through one.
struct OpenDirectory {
  Fd fd;
  PathIdentity on;
  Walk walk = Walk::kCached;  ///< how what is in it may be opened
  bool of_kernel = false;     ///< on a procfs or sysfs: the kernel alone answers there
};
using Directory = std::shared_ptr<const OpenDirectory>;

/// The process whose mount namespace is worked on. It is pinned: everything that is read through it
/// is that process's or an error, never that of a process that reuses its PID. Paths are those of
/// the namespace's root, also when the process itself has a root below it (a chroot).
class Target {
 public:
  /// ESRCH: there is no such process, or it ended meanwhile. Only what the process itself says is
  /// read: see refresh(). `host` is what the host has mounted, which nobody in a container serves;
  /// it is borrowed.
  static Result<Target> open(pid_t pid, const MountTable& host);

  bool ended() const { return has_ended(pidfd_); }
  const MountTable& mounts() const { return mounts_; }
  /// Reads the namespace and its mounts again at each call. For that it moves this
  /// (single-threaded) process into the namespace for a moment, unless it is there already. ESRCH:
  /// it has ended. E2BIG: see MountTable::read(). EAGAIN: its root cannot be looked at without
  /// asking a file system that somebody in it may serve; the path is its type.
  Result<bool> refresh();

  /// The path of the root file system, if that has a procfs of this process's PID namespace: "" for
  /// the root of the namespace. Other places with such a procfs, such as a chroot that is being
  /// built, are ignored. With `before_pivot`, when the runtime has not moved the container to its
  /// root yet, also a path such as "/bundle/rootfs": the shortest one, because all that a container
  /// mounts elsewhere is below its root. One that has no procfs at its root but one below it, such
  /// as in a chroot, is taken for rooted there. Mounts that runtimes keep for nested containers
  /// (/dev/.lxc/proc) never count.
  std::optional<std::string> root(bool before_pivot) const;
  /// Why root() has found none.
  std::string why_no_root() const;

  /// True when the process runs a program out of the namespace, and not one of a runtime that is
  /// still at work on it. By the mounts that were read last.
  bool runs_own_program() const;

  /// O_PATH descriptor of a path below the namespace's root; no symlink is followed. Never asks a
  /// file system that somebody in the container may serve, because that could block us: places
  /// where something is mounted are in the kernel's memory, and below a procfs or a sysfs the
  /// kernel itself answers. EAGAIN: the path cannot be resolved that way. EXDEV: something was
  /// mounted meanwhile.
  Fd open_path(const std::string& path, int flags) const;
  /// The same for a directory that things are done in. Empty with errno set.
  Directory open_directory(const std::string& path) const;
  /// The same for what is in it.
  static Fd open_leaf(const OpenDirectory& parent, const std::string& name);
  /// How often the mounts were read: what was opened in an earlier generation may stand elsewhere.
  unsigned generation() const { return generation_; }

  /// Moves this (single-threaded) process into the mount namespace for good.
  Result<bool> enter();

  /// The number of the mount namespace: a key for locks.
  uint64_t mount_namespace() const { return mount_namespace_; }

 private:
  Target() = default;
  Fd open_cached(const std::string& path, int flags, int attempts) const;
  bool may_ask(const MountEntry& mount) const;
  /// What is mounted at a path or above it: the deepest first, and of those at one path the
  /// topmost.
  std::vector<const MountEntry*> mounts_on(const std::string& path) const;
  Fd open_mounted(const MountEntry& mount) const;
  bool is_own_proc(const MountEntry& entry) const;
  Result<bool> look();

  Fd pidfd_, directory_, root_;
  Fd pids_;  ///< its PID namespace: while this is open no other has its number, nor its tenant's
  bool entered_ = false;
  unsigned generation_ = 0;
  const MountTable* host_ = nullptr;
  MountTable mounts_;
  MountTable::Filter filter_;
  bool may_ask_ = false;  ///< the file system of its root: nobody in it serves that
  unsigned owner_ = 0;    ///< of its root
  std::string pid_namespace_;
  uint64_t mount_namespace_ = 0;
};

}  // namespace vprocfs
