#include "attach/kernel.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "base/kernel_abi.h"
#include "base/new_mount.h"
#include "base/words.h"
#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

// <linux/mount.h> clashes with <sys/mount.h> on glibc before 2.37.
constexpr unsigned kOpenTreeClone = 1;
constexpr unsigned kMoveFromEmptyPath = 0x4;
constexpr unsigned kMoveToEmptyPath = 0x40;
constexpr unsigned kMoveBeneath = 0x200;
constexpr unsigned kRecursive = 0x8000;                                  // AT_RECURSIVE
constexpr unsigned kReadOnly = 1, kNoSuid = 2, kNoDev = 4, kNoExec = 8;  // MOUNT_ATTR_...

struct MountAttributes {
  uint64_t set = 0, clear = 0, propagation = 0, user_namespace = 0;
};

/// The mount of a descriptor where statx(2) does not tell it.
std::optional<uint64_t> mount_of(int fd) {
  const auto info = read_file(own_directory().get(), "fdinfo/" + std::to_string(fd));
  std::optional<uint64_t> found;
  if (!info) return found;
  for_each_line(info.value(), [&found](std::string_view line) {
    if (take_word(line) == "mnt_id:") found = parse_u64(trim(line));
  });
  return found;
}

Fd clone_tree(int dir_fd, const char* path, unsigned flags) {
  const bool whole = (flags & kRecursive) != 0;
  Fd tree(
      static_cast<int>(::syscall(SYS_open_tree, dir_fd, path, kOpenTreeClone | O_CLOEXEC | flags)));
  if (tree && !make_private(tree, whole)) {
    const int code = errno;
    tree.reset();
    errno = code;
  }
  return tree;
}

/// Another O_PATH descriptor of what `fd` is; with O_DIRECTORY in `flags` only of a directory.
int reopen_path(int fd, int flags) {
  if ((flags & O_DIRECTORY) != 0) return ::openat(fd, ".", O_PATH | O_CLOEXEC | O_DIRECTORY);
  return ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

}  // namespace

const Fd& own_directory() {
  static const Fd directory(::open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return directory;
}

Fd clone_mount(int dir_fd, const std::string& path) {
  return clone_tree(dir_fd, path.c_str(), AT_SYMLINK_NOFOLLOW);
}

Fd clone_mount_at(int fd, bool whole) {
  return clone_tree(fd, "", AT_EMPTY_PATH | (whole ? kRecursive : 0));
}

bool make_private(const Fd& mount, bool whole) {
  MountAttributes attributes;
  attributes.propagation = MS_PRIVATE;
  const unsigned flags = AT_EMPTY_PATH | (whole ? kRecursive : 0);
  if (::syscall(SYS_mount_setattr, mount.get(), "", flags, &attributes, sizeof attributes) == 0)
    return true;
  if (errno != ENOSYS) return false;  // Linux 5.12
  const std::string path = "fd/" + std::to_string(mount.get());
  if (::fchdir(own_directory().get()) != 0) return false;
  return ::mount(nullptr, path.c_str(), nullptr, MS_PRIVATE | (whole ? MS_REC : 0), nullptr) == 0;
}

Fd new_empty_directory() { return new_mount("tmpfs", kReadOnly | kNoSuid | kNoDev | kNoExec); }

int attach_mount(const Fd& mount, const Fd& target, bool beneath) {
  const unsigned flags = kMoveFromEmptyPath | kMoveToEmptyPath | (beneath ? kMoveBeneath : 0);
  return static_cast<int>(::syscall(SYS_move_mount, mount.get(), "", target.get(), "", flags));
}

Fd open_below(int root_fd, const std::string& path, int flags, Walk walk) {
  open_how how{};
  how.flags = static_cast<uint64_t>(O_PATH | O_CLOEXEC | O_NOFOLLOW | flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  if (walk == Walk::kCached) how.resolve |= kResolveCached;
  if (walk == Walk::kInside) how.resolve |= RESOLVE_NO_XDEV;
  Fd fd(static_cast<int>(
      ::syscall(SYS_openat2, root_fd, path.empty() ? "." : path.c_str(), &how, sizeof how)));
  // Filters that cannot look into its argument refuse it whole, as systemd's for
  // RestrictSUIDSGID= does.
  const bool refused = !fd && (errno == ENOSYS || errno == EPERM);
  if (!refused) return fd;
  if (walk != Walk::kCached) return open_below_stepwise(root_fd, path, flags, walk);
  errno = EAGAIN;
  return Fd();
}

Fd open_below_stepwise(int root_fd, const std::string& path, int flags, Walk walk) {
  Fd at;
  PathIdentity from_mount, on;
  if (walk == Walk::kInside && !identify(root_fd, from_mount)) return Fd();
  for (size_t from = 0; from < path.size();) {
    const size_t slash = std::min(path.find('/', from), path.size());
    const std::string name = path.substr(from, slash - from);
    from = slash + 1;
    if (name.empty() || name == ".") continue;
    if (name == "..") return errno = EXDEV, Fd();
    const int dir = at ? at.get() : root_fd;
    // A symlink in the middle is opened itself, and the next step fails with ENOTDIR.
    Fd next(::openat(dir, name.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
    if (!next) return next;
    if (walk == Walk::kInside && (!identify(next.get(), on) || on.mount != from_mount.mount)) {
      return errno = EXDEV, Fd();
    }
    at = std::move(next);
  }
  return Fd(reopen_path(at ? at.get() : root_fd, flags));
}

Fd open_place_below(const Fd& directory, const std::string& place, int flags) {
  const size_t slash = place.rfind('/');
  if (slash == place.npos) return open_below(directory.get(), place, flags, Walk::kAny);
  const Fd parent = open_below(directory.get(), place.substr(0, slash), O_DIRECTORY, Walk::kInside);
  if (!parent) return Fd();
  return open_below(parent.get(), place.substr(slash + 1), flags, Walk::kAny);
}

Fd duplicate(const Fd& fd) { return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

bool identify(int fd, PathIdentity& out) {
  constexpr unsigned kMountId = 0x1000;  // STATX_MNT_ID
  struct statx st {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, kMountId | STATX_TYPE | STATX_UID, &st) !=
      0) {
    return false;
  }
  out.mode = st.stx_mode & S_IFMT;
  out.owner = st.stx_uid;
  if ((st.stx_mask & kMountId) == 0) {  // before Linux 5.8
    const auto mount = mount_of(fd);
    out.mount = mount.value_or(0);
    return mount.has_value();
  }
  // Older headers have no name for the field; it stands right after stx_dev_minor.
  constexpr size_t kAt = offsetof(struct statx, stx_dev_minor) + sizeof(st.stx_dev_minor);
  std::memcpy(&out.mount, reinterpret_cast<const unsigned char*>(&st) + kAt, sizeof(out.mount));
  return true;
}

}  // namespace vprocfs
