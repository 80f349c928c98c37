#include "survey/mounted.h"

#include <functional>
#include <unordered_map>

#include "base/affix.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

bool is_place_of_files(std::string_view path) {
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
    if (!mount || !is_place_of_files(mount->path)) return;
    const bool ours = is_ours(*mount, identity_);
    if (!ours && !is_lxcfs(*mount, identity_)) return;
    const size_t path = std::hash<std::string>{}(mount->path);
    const auto below = dead_.find(mount->parent);
    if (below != dead_.end() && below->second == path) dead_.erase(below);
    if (live_.count(mount->device) == 0) {
      dead_[mount->id] = path;
    } else {
      ++(ours ? out_.ours : out_.lxcfs);
    }
  }

  Mounted result() const { return {out_.ours, out_.lxcfs, dead_.size()}; }

 private:
  const MountIdentity& identity_;
  const Devices& live_;
  Mounted out_;
  /// Mounts by id, with a hash of the path: a container may have many, at long ones.
  std::unordered_map<uint64_t, size_t> dead_;
};

}  // namespace

std::optional<Devices> live_devices(int procfs_fd, const MountIdentity& identity) {
  const auto file = open_file(procfs_fd, "self/mountinfo");
  if (!file) return std::nullopt;
  Devices out;
  std::string room;
  const auto take = [&](auto line) { take_live(line, identity, out); };
  if (for_each_line_of(file.value().get(), room, take) != 0) return std::nullopt;
  return out;
}

std::optional<Mounted> mounted_files(int procfs_fd, int pid, const MountIdentity& identity,
                                     const Devices& live) {
  const auto file = open_file(procfs_fd, std::to_string(pid) + "/mountinfo");
  if (!file) return std::nullopt;
  Count count(identity, live);
  std::string room;
  const auto take = [&](auto line) { count.take(line); };
  if (for_each_line_of(file.value().get(), room, take) != 0) return std::nullopt;
  return count.result();
}

}  // namespace vprocfs
