#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace vprocfs {

/// The hierarchy whose directory names a container.
enum class IdentityHierarchy : uint8_t { kV2 = 0, kV1Memory = 1, kV1Cpu = 2, kV1Pids = 3 };

enum class Controller : uint8_t;
/// The controller by which v1 has such a hierarchy; nothing: it is cgroup2's.
std::optional<Controller> controller_of(IdentityHierarchy hierarchy);

/// A container's identity: the 64-bit id of its cgroup directory (kernfs node id, equal to its
/// inode number) in one hierarchy. The kernel never reuses these ids, so a name that is used again
/// is another container. 48 bits are kept: the kernel counts up from 1, one per file and directory.
class ContainerId {
 public:
  static constexpr unsigned kIdBits = 46;
  static constexpr uint64_t kMaxCgroupId = (uint64_t{1} << kIdBits) - 1;

  /// Nobody's: the tree's own nodes, and the host.
  constexpr ContainerId() = default;

  /// nullopt for an id that does not fit (0, or beyond 46 bits).
  static std::optional<ContainerId> make(IdentityHierarchy hierarchy, uint64_t cgroup_id) {
    if (cgroup_id == 0 || cgroup_id > kMaxCgroupId) return std::nullopt;
    return ContainerId((static_cast<uint64_t>(hierarchy) << kIdBits) | cgroup_id);
  }
  static constexpr ContainerId from_packed(uint64_t packed) { return ContainerId(packed); }

  /// As it stands in the tree: the decimal cgroup id, with "m", "c" or "p" before it where the id
  /// is of the v1 memory, cpu or pids hierarchy.
  std::string name() const;
  static std::optional<ContainerId> parse(const std::string& name);

  constexpr bool none() const { return packed_ == 0; }
  constexpr uint64_t packed() const { return packed_; }
  constexpr uint64_t cgroup_id() const { return packed_ & kMaxCgroupId; }
  constexpr IdentityHierarchy hierarchy() const {
    return static_cast<IdentityHierarchy>(packed_ >> kIdBits);
  }

  friend constexpr bool operator==(ContainerId a, ContainerId b) { return a.packed_ == b.packed_; }
  friend constexpr bool operator!=(ContainerId a, ContainerId b) { return a.packed_ != b.packed_; }
  friend constexpr bool operator<(ContainerId a, ContainerId b) { return a.packed_ < b.packed_; }

 private:
  constexpr explicit ContainerId(uint64_t packed) : packed_(packed) {}
  uint64_t packed_ = 0;
};

struct ContainerIdHash {
  size_t operator()(ContainerId id) const { return std::hash<uint64_t>()(id.packed()); }
};

}  // namespace vprocfs
