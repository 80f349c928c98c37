#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unfailing_counter.h"
#include "facts/host.h"
#include "facts/io.h"

namespace vprocfs {

/// What cgroups within a container have taken of its figures of v1 when they ended, and what it had
/// done in cgroups that it was moved from.
struct IoLosses {
  struct Device {
    DeviceNumber device;
    UnfailingCounter read_bytes, written_bytes, discarded_bytes, reads, writes, discards;
  };
  uint64_t place = 0;  ///< the inode number of the cgroup of the last reading; 0: none yet
  std::vector<Device> devices;
  /// That it has not used since it is in this cgroup, and that have not gone.
  std::vector<Device> unused;

  /// Adds it to a reading, so that no figure goes back, and nothing counts that a cgroup had
  /// counted when the container was first read there; true when that was not as the last one. A
  /// device that is missing has gone, and another one may get its number. `with_requests`: the
  /// reading has them. `disks`: the host's; nullptr where nobody knows.
  bool restore(IoFacts& io, bool with_requests, const std::vector<HostDisk>* disks);

  /// The sum of all figures: of two of one life, the lower one is older.
  uint64_t reported() const;

  /// As plain bytes for the state file.
  std::string pack() const;

  /// False when the bytes are no losses.
  static bool unpack(const void* data, size_t bytes, IoLosses& out);

 private:
  bool forget_gone(const std::vector<HostDisk>& disks);
  void begin_elsewhere(const IoFacts& io);
};

}  // namespace vprocfs
