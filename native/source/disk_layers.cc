#include "source/disk_layers.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/affix.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr uint64_t kEveryUs = 60'000'000;
/// More than the kernel lets devices be stacked, which ends in its stack.
constexpr int kMaxDepth = 16;

/// Its I/O is done again by the file system that the file behind it lies on, so it is on a device
/// of which sysfs does not know that it is beneath.
constexpr std::string_view kLoop = "loop";

bool is_any_of(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [name](std::string_view prefix) { return starts_with(name, prefix); });
}

std::vector<std::string> names_in(int sysfs_fd, const std::string& path) {
  auto names = list_names(sysfs_fd, path);
  return names ? std::move(names.value()) : std::vector<std::string>();
}

bool is_on_loop(int sysfs_fd, const std::string& path, int depth = 0) {
  const auto names = names_in(sysfs_fd, path + "/slaves");
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    const bool is_deep = depth >= kMaxDepth;
    return starts_with(name, kLoop) ||
           (!is_deep && is_on_loop(sysfs_fd, path + "/slaves/" + name, depth + 1));
  });
}

DiskLayer look_at(int sysfs_fd, const HostDisk& disk) {
  if (starts_with(disk.name, kLoop)) return {};
  const std::string path =
      "dev/block/" + std::to_string(disk.device.major) + ":" + std::to_string(disk.device.minor);
  const bool has_slaves = !names_in(sysfs_fd, path + "/slaves").empty();
  // It may be a disk of another host, or a device of this one that it does not tell of.
  if (!has_slaves && starts_with(disk.name, "drbd")) return {};
  const bool is_made = has_slaves || is_any_of(disk.name, {"dm-", "md", "bcache"});
  const auto holders = list_names(sysfs_fd, path + "/holders");
  if (!holders) return {!is_made, !is_made};
  bool is_held = !holders.value().empty();
  // What cgroups count is of the whole disk: its partitions too.
  for (const std::string& name : names_in(sysfs_fd, path)) {
    if (is_held) break;
    is_held =
        starts_with(name, disk.name) && !names_in(sysfs_fd, path + "/" + name + "/holders").empty();
  }
  return {!is_made, !is_held && !is_on_loop(sysfs_fd, path)};
}

}  // namespace

DiskLayer DiskLayers::of(const HostDisk& disk, uint64_t now_us) {
  const std::pair number{disk.device.major, disk.device.minor};
  {
    const std::lock_guard lock(mutex_);
    if (now_us >= since_us_ + kEveryUs) known_.clear();
    if (known_.empty()) since_us_ = now_us;
    const auto known = known_.find(number);
    if (known != known_.end() && known->second.name == disk.name) return known->second.layer;
  }
  const DiskLayer layer = look_at(sysfs_fd_, disk);
  const std::lock_guard lock(mutex_);
  known_[number] = {disk.name, layer};
  return layer;
}

}  // namespace vprocfs
