#pragma once

#include <cstdint>
#include <vector>

namespace vprocfs {

/// A block device's number, as in /proc/diskstats and io.stat.
struct DeviceNumber {
  uint32_t major = 0, minor = 0;

  friend bool operator==(const DeviceNumber& a, const DeviceNumber& b) {
    return a.major == b.major && a.minor == b.minor;
  }
};

/// What a container has done to one block device since its cgroup was made. A request is a bio:
/// what the block layer merges later counts as several here.
struct DeviceIo {
  DeviceNumber device;
  uint64_t read_bytes = 0, written_bytes = 0, discarded_bytes = 0;
  uint64_t reads = 0, writes = 0, discards = 0;
};

/// Block I/O of a container: the devices that it has used or that it has a limit for, each once.
struct IoFacts {
  std::vector<DeviceIo> devices;
  /// v1: a cgroup within the container that ends takes its part of the figures along.
  bool loses_ended = false;
  /// v1: the inode number of the cgroup that counted them, which a container may be moved from.
  uint64_t place = 0;

  /// The figures of `device`; nullptr where it is none of the container's.
  const DeviceIo* find(DeviceNumber device) const {
    for (const auto& io : devices) {
      if (io.device == device) return &io;
    }
    return nullptr;
  }
};

/// What a container has read and written since it began, over all devices. Only ever grows,
/// whatever devices come and go.
struct IoTotals {
  uint64_t read_bytes = 0, written_bytes = 0;
};

}  // namespace vprocfs
