#include "survey/mounted.h"

#include "base/affix.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

bool is_place_of_files(std::string_view path) {
  return starts_with(path, "/proc/") || starts_with(path, "/sys/") || path == "/dev/kmsg";
}

/// Adds a line of the host's mountinfo.
void take_lxcfs(std::string_view line, const MountIdentity& identity, Devices& out) {
  if (line.find("lxcfs") == line.npos) return;
  const auto mount = parse_mount(line);
  if (mount && is_lxcfs(*mount, identity)) out.insert(mount->device);
}

/// Adds a line of a container's mountinfo. Does not parse lines about other mounts.
void take_mount(std::string_view line, const MountIdentity& identity, const Devices& lxcfs,
                Mounted& out) {
  if (!is_of_kernel_tree(line)) return;
  const auto mount = parse_mount(line);
  if (!mount || !is_place_of_files(mount->path)) return;
  if (is_ours(*mount, identity)) {
    ++out.ours;
  } else if (is_lxcfs(*mount, identity) && lxcfs.count(mount->device) > 0) {
    ++out.lxcfs;
  }
}

}  // namespace

Devices lxcfs_devices(int procfs_fd, const MountIdentity& identity) {
  Devices out;
  std::string room;
  const auto file = open_file(procfs_fd, "self/mountinfo");
  if (!file) return out;
  for_each_line_of(file.value().get(), room, [&](auto line) { take_lxcfs(line, identity, out); });
  return out;
}

std::optional<Mounted> mounted_files(int procfs_fd, int pid, const MountIdentity& identity,
                                     const Devices& lxcfs) {
  const auto file = open_file(procfs_fd, std::to_string(pid) + "/mountinfo");
  if (!file) return std::nullopt;
  Mounted out;
  std::string room;
  const auto take = [&](auto line) { take_mount(line, identity, lxcfs, out); };
  if (for_each_line_of(file.value().get(), room, take) != 0) return std::nullopt;
  return out;
}

}  // namespace vprocfs
