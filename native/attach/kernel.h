#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"

namespace vprocfs {

// System calls that the C library has no wrapper for on every system we build on. All return what
// the kernel returns: -1 and errno for a failure.

/// This process's own entry in the procfs that it was started with ("ns/mnt", "fd/3"), also once it
/// is in another mount namespace. So the first call comes before that. Empty with errno set: there
/// is none.
const Fd& own_directory();

/// A detached copy of the mount at `path`, which takes no part in propagation: what a container
/// mounts over its copy must not appear in ours. Empty with errno set.
Fd clone_mount(int dir_fd, const std::string& path);

/// The same of the mount that a descriptor is on, from there down; with `whole` also of all that is
/// mounted below it. EINVAL without `whole`: something below it is locked to it.
Fd clone_mount_at(int fd, bool whole);

/// Ends that what is mounted on a mount appears elsewhere too, and what is mounted elsewhere on it.
/// Also of all that is mounted below it if `whole`. Before Linux 5.12 it changes the working
/// directory. False with errno set.
bool make_private(const Fd& mount, bool whole);

/// A detached mount of an empty file system, read-only: how runtimes mask a directory.
Fd new_empty_directory();

/// Attaches a detached mount at the file or directory `target`; `beneath` the mount that is there
/// (Linux 6.5), or on top of it.
int attach_mount(const Fd& mount, const Fd& target, bool beneath);

/// How a path is walked.
enum class Walk {
  kCached,  ///< by what the kernel has in memory: asks no file system anything, and cannot block
  kInside,  ///< asking the file system that it begins on, and entering no other
  kAny,     ///< asking whatever file systems are on the way, for as long as those take
};

/// O_PATH descriptor of `path` below `root_fd`. Follows no symlink (in any component) and no "..".
/// EAGAIN: kCached cannot resolve it. EXDEV: kInside meets a mount.
Fd open_below(int root_fd, const std::string& path, int flags, Walk walk);

/// The same with one openat(2) for each component, for where openat2(2) is refused: as safe, since
/// no step follows a symlink or leads upwards. Not for kCached.
Fd open_below_stepwise(int root_fd, const std::string& path, int flags, Walk walk);

/// The same for a place in a file system that nobody in a container serves, and for whatever is
/// mounted at just that place. EXDEV: something is mounted on the way.
Fd open_place_below(const Fd& directory, const std::string& place, int flags);

/// Another descriptor of the same. Empty with errno set.
Fd duplicate(const Fd& fd);

/// What is known of a descriptor without asking the server of its file system.
struct PathIdentity {
  uint64_t mount = 0;  ///< the first field of mountinfo
  unsigned mode = 0;   ///< file type bits; of a dead file system too
  unsigned owner = 0;  ///< as far as the kernel has it in memory
};
bool identify(int fd, PathIdentity& out);

}  // namespace vprocfs
