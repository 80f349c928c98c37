#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "facts/host.h"

namespace vprocfs {

/// Where a device stands among those that are made of others (LVM, md, bcache).
struct DiskLayer {
  bool is_bottom = false;  ///< it is made of no other device
  bool is_top = false;     ///< no other device is made of it
};

/// Which devices are made of others, as the host's sysfs tells. Looks at those that are asked for,
/// each at most once a minute: devices are seldom put together anew. Thread-safe.
class DiskLayers {
 public:
  /// Borrows the root of a sysfs.
  explicit DiskLayers(int sysfs_fd) : sysfs_fd_(sysfs_fd) {}

  /// Nothing: sysfs could not be read at the moment, for lack of descriptors or memory.
  std::optional<DiskLayer> of(const HostDisk& disk, uint64_t now_us);

 private:
  struct Known {
    std::string name;
    DiskLayer layer;
  };

  const int sysfs_fd_;
  std::mutex mutex_;
  uint64_t since_us_ = 0;  ///< when the first of `known_` was looked at
  std::map<std::pair<uint32_t, uint32_t>, Known> known_;
};

}  // namespace vprocfs
