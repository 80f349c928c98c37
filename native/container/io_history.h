#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "facts/host.h"
#include "facts/io.h"

namespace vprocfs {

/// What a container's I/O has added up to: its devices' figures go with the devices, the sum stays.
struct IoHistory {
  struct Device {
    DeviceNumber device;
    uint64_t read_bytes = 0, written_bytes = 0;  ///< as last seen
  };
  /// Figures of v1 and what cgroups that have ended took of them.
  struct Loss {
    DeviceIo seen, lost;
  };
  std::vector<Device> devices;
  IoTotals totals;
  std::vector<Loss> losses;
};

/// Adds to a reading of v1 what cgroups within the container have taken along when they ended, so
/// that no figure goes back; true when there is more of that, or it was seen anew. A device that is
/// missing has gone, and another one may get its number. `with_requests`: the reading has them.
bool restore_lost(IoHistory& history, IoFacts& io, bool with_requests);

/// Takes a new reading into `history`; true when that changed it. Of devices that are made of
/// others (device mapper, md, loop, drbd) nothing counts: their I/O is counted again on those
/// beneath. A device whose figures went backwards is another one under the same number.
bool advance(IoHistory& history, const IoFacts& io, const std::vector<HostDisk>& disks);

/// As plain bytes for the state file.
std::string pack_io_history(const IoHistory& history);

/// False when the bytes are no history.
bool unpack_io_history(const void* data, size_t bytes, IoHistory& out);

}  // namespace vprocfs
