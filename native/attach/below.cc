#include "attach/below.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "attach/kernel.h"
#include "base/affix.h"

namespace vprocfs {
namespace {

/// We never put more covers than this on one directory.
constexpr int kMaxCovers = 16;

/// Runs `action` in a new mount namespace with the detached `mount` on its root: before Linux 6.15
/// nothing can be mounted on a detached mount. Returns what `action` returns, or an errno value.
int in_new_namespace(const Fd& mount, const std::function<int()>& action) {
  const Fd here(::openat(own_directory().get(), "ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!here || ::unshare(CLONE_NEWNS) != 0) return errno;
  int code = 0;
  const Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      attach_mount(mount, root, false) != 0) {
    code = errno;
  } else {
    code = action();
  }
  return ::setns(here.get(), CLONE_NEWNS) == 0 ? code : errno;
}

/// The directory `name` of a mount, with nothing over it. Empty with errno set.
Fd uncover(const Fd& mount, const std::string& name) {
  PathIdentity below, seen;
  for (int covers = 0; covers <= kMaxCovers; ++covers) {
    Fd directory = open_below(mount.get(), name, O_DIRECTORY, Walk::kAny);
    if (!directory || !identify(mount.get(), below) || !identify(directory.get(), seen))
      return Fd();
    if (seen.mount == below.mount) return directory;
    if (::fchdir(mount.get()) != 0) return Fd();
    if (::umount2(name.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return Fd();
  }
  return errno = EMLINK, Fd();
}

/// Whether opening a place failed because nothing is there, or something else hides it.
bool is_no_place(int code) { return code == ENOENT || code == ENOTDIR || code == EXDEV; }

Fd copy_of_null() {
  const Fd null(::open("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat st {};
  if (!null || ::fstat(null.get(), &st) != 0) return Fd();
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) return errno = ENODEV, Fd();
  return clone_mount_at(null.get(), false);
}

}  // namespace

std::vector<std::string> mounts_below(const MountTable& mounts, const std::string& path,
                                      uint64_t on,
                                      const std::function<bool(const MountEntry&)>& leave) {
  std::vector<std::string> places;
  const std::string start = path + "/";
  for (const MountEntry& mount : mounts.all()) {
    if (mount.parent != on || !starts_with(mount.path, start)) continue;
    if (leave(mount)) continue;
    std::string place = mount.path.substr(start.size());
    if (std::find(places.begin(), places.end(), place) != places.end()) continue;
    places.push_back(std::move(place));
    if (places.size() > kMaxBelow) break;
  }
  return places;
}

int mask(const Fd& directory, const std::string& place, uint64_t on) {
  const Fd at = open_place_below(directory, place, 0);
  if (!at) return is_no_place(errno) ? 0 : errno;
  PathIdentity there;
  if (!identify(at.get(), there)) return errno;
  if (there.mount != on) return 0;
  const Fd over = there.mode == S_IFDIR ? new_empty_directory() : copy_of_null();
  return over && attach_mount(over, at, false) == 0 ? 0 : errno;
}

int copy_below(const Fd& parent, const std::string& name, const std::vector<std::string>& places,
               std::vector<MountCopy>& copies) {
  const Fd whole = clone_mount_at(parent.get(), true);
  if (!whole) return errno;
  return in_new_namespace(whole, [&] {
    const Fd directory = uncover(whole, name);
    PathIdentity below, there;
    if (!directory || !identify(directory.get(), below)) return errno;
    for (const std::string& place : places) {
      const Fd at = open_place_below(directory, place, 0);
      if (!at && is_no_place(errno)) continue;
      if (!at || !identify(at.get(), there)) return errno;
      if (there.mount == below.mount) continue;
      Fd copy = clone_mount_at(at.get(), true);
      if (!copy) return errno;
      copies.push_back({place, std::move(copy)});
    }
    return 0;
  });
}

int place_copies(const std::vector<MountCopy>& copies, Fd& cover) {
  return in_new_namespace(cover, [&] {
    for (const MountCopy& copy : copies) {
      const Fd at = open_place_below(cover, copy.place, 0);
      if (!at && is_no_place(errno)) continue;
      if (!at || attach_mount(copy.mount, at, false) != 0) return errno;
    }
    Fd whole = clone_mount_at(cover.get(), true);
    if (!whole) return errno;
    cover = std::move(whole);
    return 0;
  });
}

void move_behind_cover(const Fd& directory, const std::vector<std::string>& places, uint64_t on) {
  for (const std::string& place : places) {
    const Fd moved = open_place_below(directory, place, 0);
    PathIdentity there;
    if (!moved || !identify(moved.get(), there) || there.mount == on) continue;
    // Nobody sees the mount there: all of this is covered.
    const Fd elsewhere =
        open_below(directory.get(), there.mode == S_IFDIR ? "power" : "uevent", 0, Walk::kAny);
    if (!elsewhere || attach_mount(moved, elsewhere, false) != 0) continue;
    const Fd back = open_place_below(directory, place, 0);
    if (!back || attach_mount(moved, back, false) != 0) return;
  }
}

}  // namespace vprocfs
