#pragma once

#include <cstdint>

#include "container/id.h"

namespace vprocfs {

/// What a node is, within the tree or within one container's tree. Stable across versions: kernels
/// hold node ids while daemons come and go.
using NodeIndex = uint16_t;

inline constexpr NodeIndex kRootIndex = 1;            ///< the mount's root (FUSE_ROOT_ID)
inline constexpr NodeIndex kContainersIndex = 2;      ///< containers/
inline constexpr NodeIndex kSelfIndex = 3;            ///< self
inline constexpr NodeIndex kCgroupIndex = 4;          ///< cgroup/ (empty)
inline constexpr NodeIndex kContainerRootIndex = 5;   ///< containers/<id>/
inline constexpr NodeIndex kFirstFileIndex = 0x1000;  ///< + View::index
inline constexpr NodeIndex kFirstDirIndex = 0x4000;   ///< + hash of a directory's path
inline constexpr NodeIndex kDirIndexes = 0x4000;

/// A node id as the kernel keeps it: container (48 bits) and index (16 bits). Nothing is allocated,
/// so any daemon can answer for an id that another one gave out.
class NodeId {
 public:
  constexpr explicit NodeId(uint64_t raw) : raw_(raw) {}
  constexpr NodeId(ContainerId container, NodeIndex index)
      : raw_((container.packed() << 16) | index) {}

  constexpr uint64_t raw() const { return raw_; }
  constexpr ContainerId container() const { return ContainerId::from_packed(raw_ >> 16); }
  constexpr NodeIndex index() const { return static_cast<NodeIndex>(raw_ & 0xffff); }

 private:
  uint64_t raw_;
};

}  // namespace vprocfs
