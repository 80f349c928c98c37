#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "facts/host.h"
#include "facts/io.h"
#include "source/disk_layers.h"

namespace vprocfs {

/// Sums over devices of which some are made of others: the kernel counts what it does to one again
/// on those beneath it.
///
/// What is counted at the bottom may lack something: where workers of the kernel pass it on
/// (dm-crypt, md with parity) they do so in the node's name, and requests that were merged already
/// (multipath) are not counted again. What is counted at the top lacks what is done to other parts
/// of a disk of which a part belongs to a device above. So the larger sum is the better one. On a
/// mirror it is that of the copies.
struct IoSums {
  IoTotals bottom, top;

  IoTotals totals() const {
    return {std::max(bottom.read_bytes, top.read_bytes),
            std::max(bottom.written_bytes, top.written_bytes)};
  }
};

/// What a container's I/O has added up to: its devices' figures go with the devices, the sum stays.
struct IoHistory {
  struct Device {
    DeviceNumber device;
    uint64_t read_bytes = 0, written_bytes = 0;  ///< as last seen
  };
  std::vector<Device> devices;
  IoSums sums;
  /// Of an earlier version, which did not list devices that are made of others: what they have
  /// counted by the next reading is not new. Not stored.
  bool lists_some = false;
};

/// What a reading has done to a history.
struct IoAdvance {
  bool is_changed = false;
  bool is_whole = true;  ///< false: some devices were left as they were, of no known layer
};

/// Takes a new reading into `history`. `disks` are the host's: no other device counts. A device
/// whose figures went backwards is another one under the same number.
IoAdvance advance(IoHistory& history, const IoFacts& io, const std::vector<HostDisk>& disks,
                  DiskLayers& layers, uint64_t now_us);

/// As plain bytes for the state file.
std::string pack_io_history(const IoHistory& history);

/// False when the bytes are no history.
bool unpack_io_history(const void* data, size_t bytes, IoHistory& out);

}  // namespace vprocfs
