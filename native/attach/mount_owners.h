#pragma once

#include <string>
#include <vector>

#include "attach/options.h"
#include "attach/tree_files.h"
#include "source/mount_table.h"

namespace vprocfs {

/// What is seen at a place where a file of ours belongs.
enum class Top {
  kKernel,   ///< the kernel's own file
  kOurs,     ///< of the live mount, for this container
  kStale,    ///< ours, and dead or another container's
  kOther,    ///< of another live vprocfs
  kLxcfs,    ///< of an LXCFS
  kShadow,   ///< something of the container's, over one of ours
  kForeign,  ///< something of the container's or its runtime's
};

/// Tells whose mount an entry of a mount table is.
class MountOwners {
 public:
  /// `host`: what the host has mounted. Both are borrowed.
  MountOwners(const Options& options, const MountTable& host);

  bool has_vprocfs() const { return !device_.empty(); }
  /// Whether files that can be polled have a mount of their own.
  bool has_polled() const { return !polled_device_.empty(); }

  bool is_ours(const MountEntry& mount) const;
  /// True for another vprocfs that lives, unless its files are to be replaced.
  bool is_others(const MountEntry& mount) const;
  /// True for a mount of a vprocfs whose files ours replace.
  bool is_replaced(const MountEntry& mount) const;
  bool is_lxcfs(const MountEntry& mount) const;
  /// True also for a dead mount of a vprocfs with a source that is not known any more: it looks
  /// like LXCFS's but for the source.
  bool counts_as_lxcfs(const MountEntry& mount) const;
  /// What `top` is, an entry of `mounts` that is seen at the place of `file` in the container `id`.
  Top classify(const MountTable& mounts, const MountEntry& top, const TreeFile& file,
               const std::string& id) const;
  /// True if mounts on it would also appear on the host's own /proc, /sys or /dev.
  bool is_shared_with_host(const MountEntry& mount) const;
  /// True when a file system is mounted on the host, too.
  bool is_on_host(const MountEntry& mount) const { return host_.has_device(mount.device); }

 private:
  /// The device of our mount at a path of the host; empty: there is none.
  std::string device_at(const std::string& path) const;

  const Options& options_;
  const MountTable& host_;
  std::string device_;                         ///< of the live mount; empty: there is none
  std::string polled_device_;                  ///< the same of the mount of files that are polled
  std::vector<std::string> replaced_devices_;  ///< of mounts that ours replace
};

}  // namespace vprocfs
