#pragma once

#include <cstdint>
#include <functional>

#include "fuse/snapshot_files.h"
#include "fuse/view_files.h"

namespace vprocfs {

/// Files that the kernel caches in contract `exact`: they change with limits only, and a notice has
/// the kernel forget what it has.
class CachedFiles : public ViewFiles {
 public:
  /// `snapshots` serves opens while somebody reads an older copy.
  CachedFiles(Serving& serving, SnapshotFiles& snapshots)
      : ViewFiles(serving), snapshots_(snapshots) {}

  void entry(const Request& r, NodeId node, const ContainerPtr& owner, uint64_t valid_s) override;
  void read(const Request& r) override;
  void release(const Request& r) override;

  /// Somebody wrote to a limit: has the kernel forget what says something else now.
  void limits_changed();

 protected:
  void attributes_in_turn(const Request& r, NodeId node, const View& view,
                          const ContainerPtr& container) override;
  void open_in_turn(const Request& r, const View& view, const ContainerPtr& container) override;

 private:
  /// The handle of files that the kernel caches: nothing is held for them.
  static constexpr uint64_t kCachedHandle = 0;

  void replace_copy(NodeId node, const ContainerPtr& container, const CachedTextPtr& now,
                    std::function<void()> after);
  void answer_copy(const Request& r, const View& view, const ContainerPtr& container);

  SnapshotFiles& snapshots_;
};

}  // namespace vprocfs
