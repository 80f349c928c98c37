#pragma once

#include <atomic>

#include "container/mirror.h"
#include "fuse/cached_files.h"
#include "fuse/mirror_files.h"
#include "fuse/snapshot_files.h"
#include "fuse/tick_files.h"
#include "fuse/tree_files.h"

namespace vprocfs {

/// All ways of serving nodes of a connection, and the one place that chooses among them.
class AllFiles {
 public:
  /// `tick`: whether the connection was made for the contract `tick`.
  AllFiles(Serving& serving, bool tick);

  Files& of(NodeId node);

  /// The kernel keeps to what a connection was made for as long as that lives, so we do.
  void set_tick(bool tick) { tick_ = tick; }
  /// Somebody wrote to a limit: has the kernel forget files that say something else now.
  void limits_changed() { cached_.limits_changed(); }

 private:
  bool is_mirrored(NodeId node) const;

  Serving& serving_;
  std::atomic<bool> tick_;
  Mirror mirror_;
  TreeFiles directories_;
  SnapshotFiles snapshots_;
  CachedFiles cached_;
  TickFiles tick_files_;
  MirrorFiles mirrored_;
  TickMirrorFiles tick_mirrored_;
};

}  // namespace vprocfs
