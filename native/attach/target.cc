#include "attach/target.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "attach/kernel.h"
#include "base/memory_walk.h"
#include "base/words.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr size_t kMaxLookedAt = 256;
constexpr int kAttempts = 50;    ///< to walk in memory, if there is no other way
constexpr int kFewAttempts = 2;  ///< the same if there is another way

std::string link_of(int dir_fd, const char* path) { return read_link(dir_fd, path).value_or({}); }

/// Places where LXC, LXD and systemd-nspawn keep a clean procfs, so that nested containers may
/// mount one.
bool is_runtime_private(std::string_view path) {
  return ends_with(path, "/.lxc/proc") || ends_with(path, "/run/host/proc");
}

bool is_kernel_tree(std::string_view type) { return type == "proc" || type == "sysfs"; }

/// File systems on this machine's own memory and disks: no process in a container serves them, even
/// if one has mounted them.
bool is_local(std::string_view type) {
  constexpr std::string_view kLocal[] = {
      "bcachefs", "btrfs", "cramfs", "erofs",    "ext2",  "ext3", "ext4", "f2fs",    "jfs",
      "nilfs2",   "ramfs", "romfs",  "squashfs", "tmpfs", "udf",  "xfs",  "iso9660", "zfs",
  };
  return std::find(std::begin(kLocal), std::end(kLocal), type) != std::end(kLocal);
}

/// File systems whose server is asked even when their root is only opened with O_PATH.
bool asks_for_root(std::string_view type) {
  constexpr std::string_view kAsking[] = {"9p", "afs", "nfs", "nfs4"};
  return std::find(std::begin(kAsking), std::end(kAsking), type) != std::end(kAsking);
}

Error gone(pid_t pid) { return Error{ESRCH, "process " + std::to_string(pid)}; }

}  // namespace

Result<Target> Target::open(pid_t pid, const MountTable& host) {
  Target t;
  t.host_ = &host;
  t.pidfd_ = open_pidfd(pid);
  if (!t.pidfd_) return errno == ENOSYS ? Error{ENOSYS, "pidfd_open"} : gone(pid);
  const Fd procfs(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name = std::to_string(pid);
  t.directory_ = Fd(::openat(procfs.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!t.directory_) return gone(pid);
  if (!own_directory()) return Error{errno, "/proc/self"};
  t.pids_ = Fd(::openat(t.directory_.get(), "ns/pid", O_RDONLY | O_CLOEXEC));
  t.pid_namespace_ = link_of(t.directory_.get(), "ns/pid");
  struct stat st {};
  const bool has_mounts = ::fstatat(t.directory_.get(), "ns/mnt", &st, 0) == 0;
  // The number may have passed on to another process before the directory was opened.
  if (!has_mounts || t.pid_namespace_.empty() || t.ended()) return gone(pid);
  t.mount_namespace_ = st.st_ino;
  return t;
}

Result<bool> Target::look() {
  ++generation_;
  // The table must have the mount of its program, wherever that is.
  const Fd program(::openat(directory_.get(), "exe", O_PATH | O_CLOEXEC));
  PathIdentity on;
  filter_.id = program && identify(program.get(), on) ? on.mount : 0;
  // Our own mountinfo, not the process's: that of a chroot has only the mounts below it.
  auto read = MountTable::read(own_directory().get(), "mountinfo", filter_);
  if (!read) return Error{read.error().code, "mountinfo"};
  mounts_ = std::move(read.value());
  // Only now is it known whether the root may be touched.
  const MountEntry* root = mounts_.at("/");
  may_ask_ = root != nullptr && may_ask(*root);
  if (!may_ask_ && root != nullptr && asks_for_root(root->type)) return Error{EAGAIN, root->type};
  root_ = Fd(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_) return Error{errno, "/"};
  PathIdentity identity;
  if (identify(root_.get(), identity)) owner_ = identity.owner;
  return true;
}

Result<bool> Target::refresh() {
  if (entered_) return look();
  const Fd here(::openat(own_directory().get(), "ns/mnt", O_RDONLY | O_CLOEXEC));
  const Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!here || !root) return Error{errno, "its own mount namespace"};
  auto done = enter();
  if (!done) return done;
  done = look();
  entered_ = false;
  const bool back =
      ::setns(here.get(), CLONE_NEWNS) == 0 && ::fchdir(root.get()) == 0 && ::chroot(".") == 0;
  return back ? done : Error{errno, "cannot come back from its mount namespace"};
}

bool Target::runs_own_program() const {
  return filter_.id != 0 && mounts_.by_id(filter_.id) != nullptr;
}

Fd Target::open_cached(const std::string& path, int flags, int attempts) const {
  return walk_in_memory(owner_, attempts,
                        [&] { return open_below(root_.get(), path, flags, Walk::kCached); });
}

bool Target::may_ask(const MountEntry& mount) const {
  return is_kernel_tree(mount.type) || is_local(mount.type) || host_->has_device(mount.device);
}

std::vector<const MountEntry*> Target::mounts_on(const std::string& path) const {
  std::vector<const MountEntry*> found;
  for (const auto& entry : mounts_.all()) {
    if (entry.path.size() <= 1 || !is_below(path, entry.path)) continue;
    // Of those at one path the last one is on top.
    if (!found.empty() && found.back()->path == entry.path) found.pop_back();
    found.push_back(&entry);
  }
  const auto longer = [](auto a, auto b) { return a->path.size() > b->path.size(); };
  std::stable_sort(found.begin(), found.end(), longer);
  return found;
}

/// Empty: it cannot be opened, or another mount hides it.
Fd Target::open_mounted(const MountEntry& mount) const {
  const size_t slash = mount.path.rfind('/');
  Fd at = open_cached(mount.path.substr(1), 0, slash > 0 ? kFewAttempts : kAttempts);
  if (!at && errno == EAGAIN && slash > 0) {
    // A procfs or sysfs wants to be asked about every name in it.
    const auto parent = open_directory(mount.path.substr(0, slash));
    if (parent) at = open_leaf(*parent, mount.path.substr(slash + 1));
  }
  PathIdentity found;
  if (at && identify(at.get(), found) && found.mount == mount.id) return at;
  return Fd();
}

Fd Target::open_path(const std::string& path, int flags) const {
  const std::string below = starts_with(path, "/") ? path.substr(1) : path;
  const auto on = mounts_on(path);
  // EAGAIN means either that a name is not in memory or that the walk was interrupted. So many
  // attempts are made only if no file system may be asked.
  const bool below_mount = on.size() == 1 && on.front()->path != path && may_ask(*on.front());
  const bool asks = on.size() > 1 || below_mount || (on.empty() && may_ask_);
  Fd fd = open_cached(below, flags, asks ? 1 : kAttempts);
  if (fd || errno != EAGAIN) return fd;
  for (const MountEntry* mount : on) {
    Fd at = open_mounted(*mount);
    // Another mount hides it, which comes later in the list.
    if (!at) continue;
    if (mount->path == path) return at;
    const Walk walk = may_ask(*mount) ? Walk::kInside : Walk::kCached;
    return open_below(at.get(), path.substr(mount->path.size() + 1), flags, walk);
  }
  if (may_ask_) return open_below(root_.get(), below, flags, Walk::kAny);
  errno = EAGAIN;
  return Fd();
}

Directory Target::open_directory(const std::string& path) const {
  OpenDirectory directory;
  directory.fd = open_path(path, O_DIRECTORY);
  if (!directory.fd) return nullptr;
  if (!identify(directory.fd.get(), directory.on)) directory.on = {};
  const MountEntry* on = mounts_.by_id(directory.on.mount);
  directory.of_kernel = on != nullptr && is_kernel_tree(on->type);
  // On other file systems only places with mounts can be opened.
  directory.walk = on != nullptr && may_ask(*on) ? Walk::kAny : Walk::kCached;
  return std::make_shared<const OpenDirectory>(std::move(directory));
}

Fd Target::open_leaf(const OpenDirectory& parent, const std::string& name) {
  return open_below(parent.fd.get(), name, 0, parent.walk);
}

bool Target::is_own_proc(const MountEntry& entry) const {
  if (entry.type != "proc" || entry.root != "/" || !ends_with(entry.path, "/proc")) return false;
  if (is_runtime_private(entry.path)) return false;
  const Fd fd = open_path(entry.path, O_DIRECTORY);
  PathIdentity found;
  struct statfs fs {};
  // Something else may be mounted over it.
  if (!fd || !identify(fd.get(), found) || found.mount != entry.id) return false;
  if (::fstatfs(fd.get(), &fs) != 0 || fs.f_type != PROC_SUPER_MAGIC) return false;
  // A namespace's procfs shows its own init as 1. A process in it can mount what never answers on
  // the way.
  const Fd link = open_below(fd.get(), "1/ns/pid", 0, Walk::kInside);
  return link && link_of(link.get(), "") == pid_namespace_;
}

std::optional<std::string> Target::root(bool before_pivot) const {
  std::optional<std::string> found;
  size_t looked_at = 0;
  for (const auto& entry : mounts_.all()) {
    if (looked_at >= kMaxLookedAt) break;
    if (entry.path != "/proc" && !before_pivot) continue;
    if (entry.type == "proc") ++looked_at;
    if (!is_own_proc(entry)) continue;
    std::string root = entry.path.substr(0, entry.path.size() - std::string_view("/proc").size());
    // All that the container mounts elsewhere is below its root.
    if (!found || root.size() < found->size()) found = std::move(root);
  }
  return found;
}

std::string Target::why_no_root() const {
  const Fd fd = open_path("/proc", 0);
  PathIdentity found;
  if (!fd && errno == ENOENT) return "it has no /proc";
  if (!fd && errno == EAGAIN) return "its root is on a file system that it may serve itself";
  if (!fd || !identify(fd.get(), found)) {
    return std::string("its /proc cannot be opened: ") + std::strerror(errno);
  }
  if (found.mode == S_IFLNK) return "its /proc is a symlink";
  const MountEntry* on = mounts_.by_id(found.mount);
  if (on == nullptr || on->type != "proc") return "its /proc is not a procfs";
  return "its /proc belongs to another PID namespace";
}

Result<bool> Target::enter() {
  int failed = ::setns(pidfd_.get(), CLONE_NEWNS) == 0 ? 0 : errno;
  if (failed == EINVAL) {  // a pidfd before Linux 5.8
    const Fd mounts(::openat(directory_.get(), "ns/mnt", O_RDONLY | O_CLOEXEC));
    failed = mounts && ::setns(mounts.get(), CLONE_NEWNS) == 0 ? 0 : errno;
    if (!mounts && failed == ENOENT) failed = ESRCH;
  }
  if (failed == 0) {
    entered_ = true;
    return true;
  }
  // A process that ends leaves its namespaces before its pidfd tells of that.
  const bool gone = failed == ESRCH || ended();
  return gone ? Error{ESRCH, "it has ended"} : Error{failed, "cannot enter its mount namespace"};
}

}  // namespace vprocfs
