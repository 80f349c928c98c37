#pragma once

#include <cstdint>
#include <optional>

#include "source/container_id.h"

namespace vprocfs {

/// What a node is, within the tree or within one container's tree. Stable across versions: kernels
/// hold node ids while daemons come and go.
using NodeIndex = uint16_t;

inline constexpr NodeIndex kRootIndex = 1;            ///< the mount's root (FUSE_ROOT_ID)
inline constexpr NodeIndex kContainersIndex = 2;      ///< containers/
inline constexpr NodeIndex kSelfIndex = 3;            ///< self
inline constexpr NodeIndex kCgroupIndex = 4;          ///< cgroup/ (empty)
inline constexpr NodeIndex kContainerRootIndex = 5;   ///< containers/<id>/
inline constexpr NodeIndex kContainerLinkIndex = 6;   ///< containers/pid:<PID>, to <id>
inline constexpr NodeIndex kProcLinkIndex = 7;        ///< proc, to those in a container
inline constexpr NodeIndex kSysLinkIndex = 8;         ///< sys, likewise
inline constexpr NodeIndex kDevLinkIndex = 9;         ///< dev, likewise
inline constexpr NodeIndex kFirstLinkIndex = 0x0100;  ///< + hash of a link's path
inline constexpr NodeIndex kLinkIndexes = 0x0f00;
inline constexpr NodeIndex kFirstFileIndex = 0x1000;  ///< + View::index
inline constexpr NodeIndex kFirstDirIndex = 0x4000;   ///< + hash of a directory's path
inline constexpr NodeIndex kDirIndexes = 0x4000;
inline constexpr NodeIndex kMirrorBit = 0x8000;  ///< no index: see NodeId::mirror

/// A node id as the kernel keeps it: container (48 bits) and index (16 bits). Nothing is allocated,
/// so any daemon can answer for an id that another one gave out.
///
/// What stands below a mirrored directory of sysfs has too many names for 16 bits: there the id is
/// the container in 40 bits, and a number of the path (see SysfsTree) in 23 around kMirrorBit.
class NodeId {
 public:
  constexpr explicit NodeId(uint64_t raw) : raw_(raw) {}
  constexpr NodeId(ContainerId container, NodeIndex index)
      : raw_((container.packed() << 16) | index) {}

  /// A path of sysfs by its number. Nothing for a cgroup id of more than 38 bits: the kernel counts
  /// up from 1, for 270 thousand million files and directories of cgroups.
  static constexpr std::optional<NodeId> mirror(ContainerId container, uint32_t number) {
    if ((container.cgroup_id() >> kMirrorIdBits) != 0) return std::nullopt;
    const uint64_t owner =
        (static_cast<uint64_t>(container.hierarchy()) << kMirrorIdBits) | container.cgroup_id();
    return NodeId((owner << 24) | (uint64_t{number >> 15} << 16) | kMirrorBit | (number & 0x7fff));
  }

  constexpr uint64_t raw() const { return raw_; }
  /// The inode number that programs are told. Those of 32 bits without support for large files get
  /// EOVERFLOW for longer ones.
  constexpr uint32_t inode() const {
    const auto folded = static_cast<uint32_t>(raw_ ^ (raw_ >> 32));
    return folded == 0 ? 1 : folded;
  }
  constexpr bool mirrored() const { return (raw_ & kMirrorBit) != 0; }
  constexpr ContainerId container() const {
    if (!mirrored()) return ContainerId::from_packed(raw_ >> 16);
    const uint64_t owner = raw_ >> 24;
    const uint64_t id = owner & ((uint64_t{1} << kMirrorIdBits) - 1);
    return ContainerId::from_packed((owner >> kMirrorIdBits << ContainerId::kIdBits) | id);
  }
  /// Meaningless for mirrored nodes.
  constexpr NodeIndex index() const { return static_cast<NodeIndex>(raw_ & 0xffff); }
  /// The number of a mirrored node's path.
  constexpr uint32_t number() const {
    return static_cast<uint32_t>(((raw_ >> 16 & 0xff) << 15) | (raw_ & 0x7fff));
  }

 private:
  static constexpr unsigned kMirrorIdBits = 38;
  uint64_t raw_;
};

inline constexpr NodeId kRootNode{{}, kRootIndex};

}  // namespace vprocfs
