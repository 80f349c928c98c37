#include "source/mounted_devices.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/words.h"
#include "source/io_parse.h"
#include "source/mount_table.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr uint64_t kEveryUs = 10'000'000;
constexpr size_t kMaxTableBytes = size_t{256} << 10;

/// The beginning of a file, in whole lines.
std::string read_some(int dir_fd, const std::string& path) {
  const auto fd = open_file(dir_fd, path);
  if (!fd) return {};
  std::string text(kMaxTableBytes, '\0');
  const ssize_t n = read_up_to(fd.value().get(), text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  const size_t end = text.rfind('\n');
  text.resize(end == std::string::npos ? 0 : end + 1);
  return text;
}

std::string name_of(DeviceNumber device) {
  return std::to_string(device.major) + ":" + std::to_string(device.minor);
}

}  // namespace

void MountedDevices::add(DeviceNumber device) {
  if (std::find(devices_.begin(), devices_.end(), device) == devices_.end()) {
    devices_.push_back(device);
  }
}

/// cgroups count for whole disks, and programs look for these.
void MountedDevices::add_with_disk(DeviceNumber device) {
  if (std::find(devices_.begin(), devices_.end(), device) != devices_.end()) return;
  add(device);
  const std::string link = "dev/block/" + name_of(device);
  if (::faccessat(sysfs_fd_, (link + "/partition").c_str(), F_OK, 0) != 0) return;
  const auto disk = read_file(sysfs_fd_, link + "/../dev");
  if (!disk) return;
  if (const auto number = parse_device(trim(disk.value()))) add(*number);
}

const std::vector<DeviceNumber>& MountedDevices::at(uint64_t now_us,
                                                    const std::vector<HostDisk>& disks) {
  if (taken_ && now_us < taken_us_ + kEveryUs) return devices_;
  constexpr std::string_view kDevices = "/dev/";
  taken_ = true;
  taken_us_ = now_us;
  devices_.clear();
  const std::string text = read_some(procfs_fd_, std::to_string(pid_) + "/mountinfo");
  const MountTable table = MountTable::parse(text);
  for (const MountEntry& mount : table.all()) {
    const auto device = parse_device(mount.device);
    if (device && device->major != 0) add_with_disk(*device);
    if (mount.type != "btrfs" || !starts_with(mount.source, kDevices)) continue;
    for (const HostDisk& disk : disks) {
      if (mount.source.compare(kDevices.size(), std::string::npos, disk.name) == 0) {
        add_with_disk(disk.device);
      }
    }
  }
  return devices_;
}

}  // namespace vprocfs
