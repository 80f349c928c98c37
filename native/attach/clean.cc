#include "attach/clean.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "attach/kernel.h"
#include "base/affix.h"

namespace vprocfs {
namespace {

/// Directories that the kernel has made for others to be mounted on: what is mounted there hides
/// nothing (fs/libfs.c, make_empty_dir_inode()).
constexpr std::string_view kMountPoints[] = {
    "/fs/nfsd",         "/openprom",       "/sys/fs/binfmt_misc",
    "/fs/bpf",          "/fs/cgroup",      "/fs/fuse/connections",
    "/fs/pstore",       "/fs/resctrl",     "/fs/selinux",
    "/fs/smackfs",      "/kernel/config",  "/kernel/debug",
    "/kernel/security", "/kernel/tracing", "/firmware/efi/efivars",
    "/hypervisor/s390",
};

bool is_mount_point(std::string_view below) {
  return std::find(std::begin(kMountPoints), std::end(kMountPoints), below) !=
         std::end(kMountPoints);
}

/// If both are copied, the copy of procfs is mounted on this directory of the copy of sysfs, where
/// it hides nothing.
constexpr char kInSysfs[] = "/fs/cgroup";

Fd copy_of(const Fd& mount) {
  Fd copy = mount ? clone_mount_at(mount.get(), false) : Fd();
  // EINVAL: mounts on it are locked to it. They hide nothing, so they are copied too.
  if (!copy && mount && errno == EINVAL) copy = clone_mount_at(mount.get(), true);
  return copy;
}

}  // namespace

bool is_visible(const MountTable& mounts, const MountEntry& mount,
                const std::function<bool(const MountEntry&)>& passed) {
  if (mount.root != "/") return false;
  return std::all_of(mounts.all().begin(), mounts.all().end(), [&](const MountEntry& other) {
    if (other.parent != mount.id || other.id == mount.id) return true;
    if (is_mount_point(std::string_view(other.path).substr(mount.path.size()))) return true;
    return passed(other) || is_clean_copy(other);
  });
}

bool is_clean_copy(const MountEntry& mount) {
  if (mount.root != "/" || (mount.type != "proc" && mount.type != "sysfs")) return false;
  const std::string place = std::string("/proc/") + kCleanPlace;
  return ends_with(mount.path, place) || ends_with(mount.path, place + kInSysfs);
}

int place_clean_copies(const Fd& proc, const Fd& sysfs, bool of_proc, bool of_sysfs) {
  const Fd of_sys = of_sysfs ? copy_of(sysfs) : Fd();
  const Fd of_procfs = of_proc ? copy_of(proc) : Fd();
  if ((of_sysfs && !of_sys) || (of_proc && !of_procfs)) return errno;
  Fd place = open_place_below(proc, kCleanPlace, O_DIRECTORY);
  if (!place) return errno;
  if (of_sysfs) {
    if (attach_mount(of_sys, place, false) != 0) return errno;
    place = open_place_below(of_sys, kInSysfs + 1, O_DIRECTORY);
  }
  if (!of_proc) return 0;
  return place && attach_mount(of_procfs, place, false) == 0 ? 0 : errno;
}

}  // namespace vprocfs
