#include "source/mounted_devices.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/clock_tick.h"
#include "base/words.h"
#include "source/absent.h"
#include "source/io_parse.h"
#include "source/mount_table.h"
#include "source/process.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr uint64_t kEveryUs = 10'000'000;
constexpr size_t kMaxTableBytes = size_t{256} << 10;
// The CPU time for reading it, and for how many times as long it is left alone then.
constexpr uint64_t kCpuUs = 15'000;
constexpr uint64_t kRestFactor = 1000;

std::string name_of(DeviceNumber device) {
  return std::to_string(device.major) + ":" + std::to_string(device.minor);
}

/// Whether a table that is no longer read because of this error has ended: all of it was read, what
/// may be, or the process is gone.
bool is_end(int error) {
  return error == 0 || error == EFBIG || error == ETIME || error == EINVAL || error == ESRCH ||
         is_absent(error);
}

}  // namespace

void MountedDevices::add(DeviceNumber device) {
  if (std::find(devices_.begin(), devices_.end(), device) == devices_.end()) {
    devices_.push_back(device);
  }
}

/// cgroups count for whole disks, and programs look for these.
bool MountedDevices::add_with_disk(DeviceNumber device) {
  if (std::find(devices_.begin(), devices_.end(), device) != devices_.end()) return true;
  add(device);
  const std::string link = "dev/block/" + name_of(device);
  if (::faccessat(sysfs_fd_, (link + "/partition").c_str(), F_OK, 0) != 0) return is_absent(errno);
  const auto disk = read_file(sysfs_fd_, link + "/../dev");
  if (!disk) return is_absent(disk.error().code);
  if (const auto number = parse_device(trim(disk.value()))) add(*number);
  return true;
}

bool MountedDevices::add_of(const MountEntry& mount, const std::vector<HostDisk>& disks) {
  constexpr std::string_view kDevices = "/dev/";
  bool complete = true;
  const auto device = parse_device(mount.device);
  if (device && device->major != 0) complete = add_with_disk(*device);
  if (mount.type != "btrfs" || !starts_with(mount.source, kDevices)) return complete;
  for (const HostDisk& disk : disks) {
    if (mount.source.compare(kDevices.size(), std::string::npos, disk.name) == 0) {
      complete = add_with_disk(disk.device) && complete;
    }
  }
  return complete;
}

Result<Fd> MountedDevices::open_table() const {
  auto file = open_file(procfs_fd_, std::to_string(pid_) + "/mountinfo");
  if (!file) return file;
  // An open table stays that of its process: if that has the PID still, it is the one.
  const auto start = read_start_ticks(procfs_fd_, pid_);
  if (!start) return start.error();
  if (start.value() * kClockTickUs != start_us_) return Error{ESRCH, "mountinfo"};
  return file;
}

const std::vector<DeviceNumber>& MountedDevices::at(uint64_t now_us,
                                                    const std::vector<HostDisk>& disks) {
  if (now_us < next_us_) return devices_;
  const std::vector<DeviceNumber> before = std::move(devices_);
  devices_.clear();
  const uint64_t begin = clock_us(CLOCK_THREAD_CPUTIME_ID);
  const auto file = open_table();
  int error = file ? 0 : file.error().code;
  bool complete = true;
  if (file) {
    std::string buffer;
    const auto take = [&](std::string_view line) {
      if (const auto mount = parse_mount(line)) complete = add_of(*mount, disks) && complete;
    };
    error = for_each_line_of(file.value().get(), buffer, take, {kMaxTableBytes, kCpuUs});
  }
  const bool failed = !complete || !is_end(error);
  // What was found before may be in the part that was not read.
  if (failed || error == ETIME) {
    for (const DeviceNumber device : before) add(device);
  }
  // A failure passes soon, but a table that takes long may not be read more often for it.
  const uint64_t rest_us = (clock_us(CLOCK_THREAD_CPUTIME_ID) - begin) * kRestFactor;
  next_us_ = now_us + (failed ? rest_us : std::max(kEveryUs, rest_us));
  return devices_;
}

}  // namespace vprocfs
