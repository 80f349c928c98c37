#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// The controllers that vprocfs reads: source/controllers.def. `kIo` is v1's blkio.
enum class Controller : uint8_t {
#define VPROCFS_CONTROLLER(Name, v1, v2, tool_name) k##Name,
#include "source/controllers.def"
#undef VPROCFS_CONTROLLER
};

struct ControllerNames {
  std::string_view v1;         ///< in /proc/<pid>/cgroup
  std::string_view v2;         ///< in cgroup.controllers; empty: part of every cgroup's own figures
  std::string_view tool_name;  ///< its name for tools; empty: it has none
};
inline constexpr ControllerNames kControllers[] = {
#define VPROCFS_CONTROLLER(Name, v1, v2, tool_name) {v1, v2, tool_name},
#include "source/controllers.def"
#undef VPROCFS_CONTROLLER
};
inline constexpr size_t kControllerCount = std::size(kControllers);

/// One mounted cgroup hierarchy.
struct Hierarchy {
  bool v2 = false;
  Fd root;                   ///< directory of the mount point, opened O_RDONLY | O_DIRECTORY
  std::string mount;         ///< where it is mounted, for messages
  uint32_t controllers = 0;  ///< bits 1 << Controller that this hierarchy carries now
};

/// The cgroup hierarchies of this host with controllers that vprocfs reads: pure v1, pure v2 or a
/// mixture. Movable, not copyable.
class CgroupMounts {
 public:
  explicit CgroupMounts(std::vector<Hierarchy> hierarchies = {})
      : hierarchies_(std::move(hierarchies)) {}

  /// From <procfs>/self/mountinfo of the running system. Only mounts whose root is the hierarchy's
  /// root as we see it ("/") are taken. Never fails because something is missing: a host without
  /// cgroups has no hierarchies.
  static Result<CgroupMounts> discover(int procfs_fd);

  /// The cgroup2 hierarchy, or nullptr.
  const Hierarchy* v2() const;

  /// The v1 hierarchy that carries a controller, or nullptr; nothing: v2().
  const Hierarchy* tree_of(std::optional<Controller> v1) const;

  /// The hierarchy that carries `controller`: v1 where mounted there, else v2, else nullptr. On v2
  /// the controller counts when the root's cgroup.controllers lists it *now* (controllers can be
  /// moved to cgroup2 after we start), kCpuacct is part of v2's own cpu.stat and always counts.
  const Hierarchy* of(Controller controller) const;

  const std::vector<Hierarchy>& all() const { return hierarchies_; }

 private:
  std::vector<Hierarchy> hierarchies_;
};

/// The cgroup of one process (or one container) in every hierarchy.
struct CgroupPaths {
  std::string v2;                                ///< empty: not known
  std::array<std::string, kControllerCount> v1;  ///< by Controller; empty: not in such a hierarchy

  /// From the text of /proc/<pid>/cgroup. Paths may hold any byte but newline (the kernel refuses
  /// one in a name). The " (deleted)" that v2 appends for a removed cgroup is kept: a live cgroup
  /// may have that name, and a removed one must not be found under any name.
  static Result<CgroupPaths> parse(const std::string& text);

  /// Whether any of them is in a hierarchy of v1.
  bool has_v1() const;
  /// The path in the v1 hierarchy of a controller; nothing: in cgroup2.
  const std::string& in(std::optional<Controller> controller) const {
    if (!controller) return v2;
    return v1[static_cast<size_t>(*controller)];
  }
  /// The path in the hierarchy that carries `controller`.
  const std::string& of(const CgroupMounts& mounts, Controller controller) const;
};

}  // namespace vprocfs
