#pragma once

#include <cstdint>

#include "base/clock.h"
#include "fuse/files/snapshot_files.h"
#include "fuse/files/view_files.h"

namespace vprocfs {

/// Files that the kernel caches in contract `exact`: they change only with limits, and then a
/// notice makes the kernel drop its copy.
class CachedFiles : public ViewFiles {
 public:
  /// `snapshots` serves opens while somebody reads an older copy.
  CachedFiles(ServerParts& parts, SnapshotFiles& snapshots)
      : ViewFiles(parts), snapshots_(snapshots) {}

  Answer entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) override;
  Answer read(const Request& r) override;
  Answer release(const Request& r) override;

  /// Whether limits_changed() has something to look at.
  bool has_copies(Container& container) const;
  /// Somebody wrote to a limit: has the kernel forget what says something else of this container
  /// now. False: others read its sources, so that it has to be called once more.
  bool limits_changed(const ContainerPtr& container);

 protected:
  Answer attributes_in_turn(const Request& r, NodeId node, const View& view,
                            const ContainerPtr& container) override;
  Answer open_in_turn(const Request& r, const View& view, const ContainerPtr& container) override;

 private:
  /// The handle of every open file that reads the kernel's copy. Each worker has its own, because
  /// it has counted only the readers that it opened files for.
  const uint64_t cached_handle_ = boottime_us();

  bool is_copied(const View& view, ContainerFiles& files) const;
  /// Puts `now` in the place of the kernel's copy; on the notifier's threads.
  void replace(const View& view, NodeId node, Container& container, const CachedText& now);
  /// The same with the present text, where the kernel has another one; on these threads.
  void renew(const View& view, NodeId node, const ContainerPtr& container);
  /// Tells the kernel the size of its copy where it may take it for shorter; on these threads.
  void grow(const View& view, NodeId node, Container& container);
  /// What hold_copy() has said, and whether the caller opens the file with O_TRUNC.
  struct Copy {
    ContainerFiles::CopyUse use;
    bool settling, truncates;
  };
  /// Adds to an answer that shows the caller `now` what has to happen to the kernel's copy first.
  Answer after_copy(Answer answer, Copy copy, NodeId node, const ContainerPtr& container,
                    const CachedTextPtr& now);

  SnapshotFiles& snapshots_;
};

}  // namespace vprocfs
