#include "source/mount_kind.h"

#include "base/affix.h"

namespace vprocfs {

bool is_ours(const MountEntry& mount, const MountIdentity& identity) {
  return (mount.type == identity.type || mount.type == kDefaultType) &&
         (mount.source == identity.source || mount.source == kDefaultSource);
}

bool is_fuse(const MountEntry& mount) {
  return mount.type == "fuse" || starts_with(mount.type, "fuse.");
}

bool is_lxcfs(const MountEntry& mount, const MountIdentity& identity) {
  return is_fuse(mount) && mount.source == "lxcfs" && !is_ours(mount, identity);
}

}  // namespace vprocfs
