#include "survey/mounted.h"

#include "source/mount_table.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

bool is_lxcfs(const MountEntry& mount) {
  return mount.type.compare(0, 4, "fuse") == 0 && mount.source == "lxcfs";
}

bool is_below_proc_or_sys(std::string_view path) {
  return path.substr(0, 6) == "/proc/" || path.substr(0, 5) == "/sys/";
}

}  // namespace

Devices lxcfs_devices(std::string_view mountinfo) {
  Devices out;
  const MountTable table = MountTable::parse(mountinfo);
  for (const MountEntry& mount : table.all()) {
    if (is_lxcfs(mount)) out.insert(mount.device);
  }
  return out;
}

Mounted count_mounted(std::string_view mountinfo, std::string_view type, std::string_view source,
                      const Devices& lxcfs) {
  Mounted out;
  const MountTable table = MountTable::parse(mountinfo);
  for (const MountEntry& mount : table.all()) {
    if (!is_below_proc_or_sys(mount.path)) continue;
    if (mount.type == type && mount.source == source) {
      ++out.ours;
    } else if (is_lxcfs(mount) && lxcfs.count(mount.device) > 0) {
      ++out.lxcfs;
    }
  }
  return out;
}

std::optional<Mounted> mounted_files(int procfs_fd, int pid, std::string_view type,
                                     std::string_view source, const Devices& lxcfs) {
  const auto text = read_file(procfs_fd, std::to_string(pid) + "/mountinfo");
  if (!text) return std::nullopt;
  return count_mounted(text.value(), type, source, lxcfs);
}

}  // namespace vprocfs
