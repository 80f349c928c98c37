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
  std::vector<Device> devices;
  IoTotals totals;
};

/// Takes a new reading into `history`; true when that changed it. Of devices that are made of
/// others (device mapper, md, loop, drbd) nothing counts: their I/O is counted again on those
/// beneath. A device whose figures went backwards is another one under the same number.
bool advance(IoHistory& history, const IoFacts& io, const std::vector<HostDisk>& disks);

/// As plain bytes for the state file.
std::string pack_io_history(const IoHistory& history);

/// False when the bytes are no history.
bool unpack_io_history(const void* data, size_t bytes, IoHistory& out);

}  // namespace vprocfs
