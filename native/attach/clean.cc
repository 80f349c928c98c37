#include "attach/clean.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "attach/kernel.h"
#include "base/affix.h"
#include "source/mount_kind.h"

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

/// Where earlier versions had the copies, one on the other. Nothing makes them read-only there.
constexpr char kFormerPlace[] = "/proc/tty/ldisc";

bool is_at(const std::string& path, const std::string& place) {
  return ends_with(path, place) || ends_with(path, place + kInSysfs);
}

Fd copy_of(const Fd& mount) {
  Fd copy = mount ? clone_mount_at(mount.get(), false) : Fd();
  // EINVAL: mounts on it are locked to it. They hide nothing, so they are copied too.
  if (!copy && mount && errno == EINVAL) copy = clone_mount_at(mount.get(), true);
  return copy;
}

/// Mounts the copy of the directory at the place on it, and makes that private. 0, or an errno
/// value.
int attach_base(const Fd& base, const Fd& sysfs) {
  const Fd place = open_place_below(sysfs, kCleanPlace, O_DIRECTORY);
  if (!place || attach_mount(base, place, false) != 0) return errno;
  // Where /sys is shared, so is what was mounted on it just now.
  if (make_private(base, false)) return 0;
  const int code = errno;
  if (::fchdir(sysfs.get()) == 0) ::umount2(kCleanPlace, MNT_DETACH | UMOUNT_NOFOLLOW);
  return code;
}

}  // namespace

bool is_visible(const MountTable& mounts, const MountEntry& mount,
                const std::function<bool(const MountEntry&)>& passed) {
  if (mount.root != "/") return false;
  return std::all_of(mounts.all().begin(), mounts.all().end(), [&](const MountEntry& other) {
    if (other.parent != mount.id || other.id == mount.id) return true;
    if (is_mount_point(std::string_view(other.path).substr(mount.path.size()))) return true;
    return passed(other) || is_clean_copy(other) || is_clean_base(other);
  });
}

bool is_clean_copy(const MountEntry& mount) {
  if (mount.root != "/" || (mount.type != "proc" && mount.type != "sysfs")) return false;
  return is_at(mount.path, std::string("/sys/") + kCleanPlace) || is_at(mount.path, kFormerPlace);
}

bool is_clean_base(const MountEntry& mount) {
  return mount.type == "sysfs" && mount.root == std::string("/") + kCleanPlace &&
         ends_with(mount.path, "/sys" + mount.root);
}

bool is_exposed(const MountTable& mounts, const MountEntry& copy) {
  if (is_at(copy.path, kFormerPlace)) return true;
  const MountEntry* own = mounts.at(copy.type == "proc" ? "/proc" : "/sys");
  // The same superblock: a procfs can be mounted so that it shows less (subset=pid).
  if (own == nullptr || own->device != copy.device) return true;
  if (own->read_only && !copy.read_only) return true;
  // No sandbox is made of files of ours, nor of another vprocfs or an LXCFS.
  return !is_visible(mounts, *own, is_fuse);
}

int place_clean_copies(const Fd& proc, const Fd& sysfs, const CleanRoot& what) {
  Fd place = open_place_below(sysfs, kCleanPlace, O_DIRECTORY);
  if (!place) return errno;
  // All is copied in the order in which it is mounted: the kernel lists mounts in that order.
  Fd base = what.has_base ? Fd() : clone_mount_at(place.get(), false);
  if (!what.has_base && !base) return errno;
  const Fd of_sysfs = what.sysfs ? copy_of(sysfs) : Fd();
  const Fd of_proc = what.proc ? copy_of(proc) : Fd();
  if ((what.sysfs && !of_sysfs) || (what.proc && !of_proc)) return errno;
  if (!what.has_base) {
    const int code = attach_base(base, sysfs);
    if (code != 0) return code;
    place = std::move(base);
  }
  if (what.sysfs) {
    if (attach_mount(of_sysfs, place, false) != 0) return errno;
    place = open_place_below(of_sysfs, kInSysfs + 1, O_DIRECTORY);
  }
  if (!what.proc) return 0;
  return place && attach_mount(of_proc, place, false) == 0 ? 0 : errno;
}

}  // namespace vprocfs
