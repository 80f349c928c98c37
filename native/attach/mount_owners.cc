#include "attach/mount_owners.h"

#include <algorithm>
#include <utility>

#include "attach/polled.h"
#include "base/affix.h"
#include "source/mount_kind.h"

namespace vprocfs {

MountOwners::MountOwners(const Options& options, const MountTable& host)
    : options_(options), host_(host) {
  device_ = device_at(options.mountpoint);
  if (!options.polled.empty()) polled_device_ = device_at(options.polled);
  for (const std::string& place : options.in_place_of) {
    std::string device = device_at(place);
    const bool is_own = device == device_ || device == polled_device_;
    if (!device.empty() && !is_own) replaced_devices_.push_back(std::move(device));
  }
}

bool MountOwners::is_ours(const MountEntry& mount) const {
  return vprocfs::is_ours(mount, {options_.type, options_.source});
}

bool MountOwners::is_others(const MountEntry& mount) const {
  return mount.device != device_ && mount.device != polled_device_ && !is_replaced(mount) &&
         host_.has_device(mount.device) && !is_orphan(mount.device);
}

bool MountOwners::is_replaced(const MountEntry& mount) const {
  const auto& all = replaced_devices_;
  return is_ours(mount) && std::find(all.begin(), all.end(), mount.device) != all.end();
}

bool MountOwners::is_lxcfs(const MountEntry& mount) const {
  return vprocfs::is_lxcfs(mount, {options_.type, options_.source});
}

bool MountOwners::counts_as_lxcfs(const MountEntry& mount) const {
  if (is_lxcfs(mount)) return true;
  return mount.type == kDefaultType && !is_ours(mount) && !host_.has_device(mount.device);
}

std::string MountOwners::device_at(const std::string& path) const {
  const MountEntry* mount = host_.at(path);
  return mount != nullptr && is_ours(*mount) ? mount->device : std::string();
}

Top MountOwners::classify(const MountTable& mounts, const MountEntry& top, const TreeFile& file,
                          const std::string& id) const {
  if (is_ours(top)) {
    if (is_others(top)) return Top::kOther;
    // The file of the wrong mount of ours is replaced like one of a dead mount.
    if (top.device != (file.polled ? polled_device_ : device_)) return Top::kStale;
    const bool of_another =
        starts_with(top.root, "/containers/") && !starts_with(top.root, "/containers/" + id + "/");
    return of_another ? Top::kStale : Top::kOurs;
  }
  if (counts_as_lxcfs(top)) return Top::kLxcfs;
  // How runtimes mask what a container must not see at all: /dev/null, or an
  // empty tmpfs.
  if (top.root == "/null" || (file.directory && top.type == "tmpfs")) return Top::kForeign;
  for (const MountEntry* at = &top; at != nullptr && at->path == top.path;) {
    if (is_ours(*at)) return Top::kShadow;
    at = mounts.by_id(at->parent);
  }
  return Top::kForeign;
}

bool MountOwners::is_shared_with_host(const MountEntry& mount) const {
  if (mount.peers == 0) return false;
  for (const char* path : {"/proc", "/sys", "/dev"}) {
    const MountEntry* own = host_.at(path);
    if (own != nullptr && own->peers == mount.peers) return true;
  }
  return false;
}

}  // namespace vprocfs
