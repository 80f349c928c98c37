#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unfailing_counter.h"
#include "facts/io.h"

namespace vprocfs {

/// What cgroups within a container have taken of its figures of v1 when they ended.
struct IoLosses {
  struct Device {
    DeviceNumber device;
    UnfailingCounter read_bytes, written_bytes, discarded_bytes, reads, writes, discards;
  };
  std::vector<Device> devices;

  /// Adds it to a reading, so that no figure goes back; true when that was not as the last one. A
  /// device that is missing has gone, and another one may get its number. `with_requests`: the
  /// reading has them.
  bool restore(IoFacts& io, bool with_requests);

  /// The sum of all figures: of two of one life, the lower one is older.
  uint64_t told() const;

  /// As plain bytes for the state file.
  std::string pack() const;

  /// False when the bytes are no losses.
  static bool unpack(const void* data, size_t bytes, IoLosses& out);
};

}  // namespace vprocfs
