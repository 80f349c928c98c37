#include "attach/log_node.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "base/act_as.h"
#include "base/affix.h"

namespace vprocfs {
namespace {

constexpr unsigned kMemoryMajor = 1, kKmsgMinor = 11;  // Documentation/admin-guide/devices.txt
constexpr int kFlags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;

/// Whether this is a file of make_log_place(): nobody else makes an empty one that nobody may open.
bool is_place(const struct statx& found) {
  return S_ISREG(found.stx_mode) && (found.stx_mode & 07777) == 0 && found.stx_size == 0;
}

}  // namespace

bool is_log_node(std::string_view path) {
  return ends_with(path, kLogNode) && ends_with(path.substr(0, path.size() - kLogNode.size()), "/");
}

LogNode look_at_log_node(const Fd& leaf) {
  struct statx found {};
  if (::statx(leaf.get(), "", kFlags, STATX_BASIC_STATS, &found) != 0) return LogNode::kOther;
  if (S_ISLNK(found.stx_mode)) return LogNode::kLink;
  const bool is_kmsg = S_ISCHR(found.stx_mode) && found.stx_rdev_major == kMemoryMajor &&
                       found.stx_rdev_minor == kKmsgMinor;
  return is_kmsg || is_place(found) ? LogNode::kKernel : LogNode::kOther;
}

bool is_writable(const Fd& directory) {
  struct statfs fs {};
  return ::fstatfs(directory.get(), &fs) == 0 && (fs.f_flags & ST_RDONLY) == 0;
}

int make_log_place(const Fd& directory, const std::string& name) {
  struct statx found {};
  constexpr unsigned kOwner = STATX_UID | STATX_GID;
  if (::statx(directory.get(), "", kFlags, kOwner, &found) != 0) return errno;
  const ActAs owner(found.stx_uid, found.stx_gid);
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const Fd made(::openat(directory.get(), name.c_str(), flags, 0));
  return made ? 0 : errno;
}

void remove_log_place(const Fd& directory, const std::string& name) {
  struct statx found {};
  const int seen = ::statx(directory.get(), name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                           STATX_BASIC_STATS, &found);
  if (seen != 0 || !is_place(found)) return;
  const ActAs owner(found.stx_uid, found.stx_gid);
  ::unlinkat(directory.get(), name.c_str(), 0);
}

}  // namespace vprocfs
