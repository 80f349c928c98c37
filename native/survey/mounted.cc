#include "survey/mounted.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/affix.h"
#include "base/fnv.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// A container may have mounts at any number of longer paths.
constexpr size_t kMaxPath = 255;
/// Whether one is covered is looked up for every directory above it.
constexpr size_t kMaxDead = 1024;

bool is_place_of_files(std::string_view path) {
  if (path.size() > kMaxPath) return false;
  return starts_with(path, "/proc/") || starts_with(path, "/sys/") || path == "/dev/kmsg";
}

/// Adds a line of the host's mountinfo.
void take_live(std::string_view line, const MountIdentity& identity, Devices& out) {
  if (line.find(" fuse") == line.npos) return;
  const auto mount = parse_mount(line);
  if (!mount) return;
  if (is_ours(*mount, identity) || is_lxcfs(*mount, identity)) out.insert(mount->device);
}

/// Counts a container's mounts, line by line of its mountinfo.
class Count {
 public:
  Count(const MountIdentity& identity, const Devices& live) : identity_(identity), live_(live) {}

  /// Does not parse lines about other mounts.
  void take(std::string_view line) {
    if (!is_of_kernel_tree(line)) return;
    const auto mount = parse_mount(line);
    if (!mount) return;
    places_[mount->id] = {mount->parent, mount->path.size()};
    taken_.insert(key_of(mount->parent, mount->path));
    if (!is_place_of_files(mount->path)) return;
    const bool ours = is_ours(*mount, identity_);
    if (!ours && !is_lxcfs(*mount, identity_)) return;
    if (live_.count(mount->device) == 0) {
      if (dead_.size() < kMaxDead) dead_.emplace_back(mount->id, mount->path);
    } else {
      ++(ours ? out_.ours : out_.lxcfs);
    }
  }

  Mounted result() const {
    Mounted out = out_;
    for (const auto& [id, path] : dead_) out.dead += is_covered(id, path) ? 0 : 1;
    return out;
  }

 private:
  struct Place {
    uint64_t parent = 0;
    size_t length = 0;  ///< of the path
  };

  static uint64_t key_of(uint64_t parent, std::string_view path) {
    return fnv(kFnvSeed ^ parent, path);
  }

  /// Whether anything is mounted on it, or on a directory above it in the same mount, or in one in
  /// which that is mounted.
  bool is_covered(uint64_t id, std::string_view path) const {
    if (taken_.count(key_of(id, path)) != 0) return true;
    for (size_t depth = 0; depth < kMaxDepth; ++depth) {
      const auto place = places_.find(id);
      if (place == places_.end()) return false;
      id = place->second.parent;
      std::string_view above = path.substr(0, place->second.length);
      // Nothing in the mount in which that one is can be mounted above where that itself is.
      const auto parent = places_.find(id);
      const size_t least = parent == places_.end() ? 1 : std::max<size_t>(parent->second.length, 1);
      while (above.size() > least) {
        above = above.substr(0, std::max<size_t>(above.rfind('/'), 1));
        if (taken_.count(key_of(id, above)) != 0) return true;
      }
    }
    return false;
  }

  /// A container may stack any number of mounts.
  static constexpr size_t kMaxDepth = 16;

  const MountIdentity& identity_;
  const Devices& live_;
  Mounted out_;
  std::unordered_map<uint64_t, Place> places_;  ///< mounts by id
  std::unordered_set<uint64_t> taken_;          ///< key_of() all mounts
  std::vector<std::pair<uint64_t, std::string>> dead_;
};

}  // namespace

std::optional<Devices> live_devices(int procfs_fd, const MountIdentity& identity) {
  const auto file = open_file(procfs_fd, "self/mountinfo");
  if (!file) return std::nullopt;
  Devices out;
  std::string buffer;
  const auto take = [&](auto line) { take_live(line, identity, out); };
  if (for_each_line_of(file.value().get(), buffer, take) != 0) return std::nullopt;
  return out;
}

std::optional<Mounted> mounted_files(int procfs_fd, int pid, const MountIdentity& identity,
                                     const Devices& live, uint64_t cpu_us) {
  const auto file = open_file(procfs_fd, std::to_string(pid) + "/mountinfo");
  if (!file) return std::nullopt;
  Count count(identity, live);
  std::string buffer;
  const auto take = [&](auto line) { count.take(line); };
  // It waits on a busy machine, too.
  constexpr uint64_t kWaits = 10;
  const ReadBounds bounds{SIZE_MAX, cpu_us, kWaits * cpu_us};
  if (for_each_line_of(file.value().get(), buffer, take, bounds) != 0) return std::nullopt;
  return count.result();
}

}  // namespace vprocfs
