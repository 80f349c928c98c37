#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "container/mirror.h"
#include "fuse/files/cached_files.h"
#include "fuse/files/kmsg_files.h"
#include "fuse/files/mirror_files.h"
#include "fuse/files/snapshot_files.h"
#include "fuse/files/tick_files.h"
#include "fuse/files/tree_files.h"

namespace vprocfs {

/// All ways of serving nodes of a connection, and the one place that chooses among them.
class AllFiles {
 public:
  /// `tick`: whether the connection was made for the contract `tick`.
  AllFiles(ServerParts& parts, bool tick);

  Files& of(NodeId node);

  /// The kernel does not change the contract of a connection while it lives, so neither do we.
  void set_tick(bool tick) { tick_ = tick; }
  /// As CachedFiles.
  bool has_copies(Container& container) const { return cached_.has_copies(container); }
  bool limits_changed(const std::shared_ptr<Container>& container) {
    return cached_.limits_changed(container);
  }

  /// Starts and ends what answers readers of kernel logs.
  void start();
  void stop();
  /// Takes over what a worker before us left, or leaves it to the next one.
  void adopt(InheritedContainers& containers);
  void adopt_rest(const OpenFiles::IsFound& is_found);
  void hand_over();
  /// The caller of a request got a signal. True: its wait has ended.
  bool interrupt(uint64_t unique) { return kmsg_ && kmsg_->interrupt(unique); }
  /// Whether a reader of this node may be about to wait whom any signal ends.
  bool has_waits(NodeId node) { return kmsg_ && &of(node) == &*kmsg_; }
  /// Open files, and readers who wait for a record, that OpenFiles and Turns know nothing of.
  size_t open_files() const { return kmsg_ ? kmsg_->open_files() : 0; }
  size_t log_readers() const { return kmsg_ ? kmsg_->waiting() : 0; }

 private:
  bool is_mirrored(NodeId node) const;

  ServerParts& parts_;
  std::atomic<bool> tick_;
  Mirror mirror_;
  TreeFiles directories_;
  SnapshotFiles snapshots_;
  CachedFiles cached_;
  TickFiles tick_files_;
  MirrorFiles mirrored_;
  TickMirrorFiles tick_mirrored_;
  std::optional<KmsgFiles> kmsg_;  ///< where the tree has files of kernel logs
};

}  // namespace vprocfs
