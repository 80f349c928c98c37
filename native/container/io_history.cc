#include "container/io_history.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/wide.h"
#include "container/life_record.h"

namespace vprocfs {
namespace {

/// `count` devices follow, and IoSums; earlier versions had summed up no others than at the bottom.
struct Packed {
  uint64_t count;
  IoTotals totals;
};

struct PackedDevice {
  uint32_t major, minor;
  uint64_t read_bytes, written_bytes;
};

static_assert(std::is_trivially_copyable_v<Packed> && std::is_trivially_copyable_v<PackedDevice> &&
              std::is_trivially_copyable_v<IoSums>);

const HostDisk* disk_of(const std::vector<HostDisk>& disks, DeviceNumber device) {
  const auto at = std::find_if(disks.begin(), disks.end(),
                               [&](const HostDisk& disk) { return disk.device == device; });
  return at == disks.end() ? nullptr : &*at;
}

void add(uint64_t& total, uint64_t seen, uint64_t now) {
  total = saturating_add(total, now >= seen ? now - seen : now);
}

}  // namespace

IoAdvance advance(IoHistory& history, const IoFacts& io, const std::vector<HostDisk>& disks,
                  DiskLayers& layers, uint64_t now_us) {
  IoAdvance out;
  out.is_changed = history.lists_some;
  std::vector<IoHistory::Device> devices;
  for (const DeviceIo& now : io.devices) {
    const HostDisk* disk = disk_of(disks, now.device);
    if (disk == nullptr) continue;
    IoHistory::Device seen{now.device, 0, 0};
    bool is_known = false;
    for (const auto& device : history.devices) {
      if (device.device == now.device) {
        seen = device;
        is_known = true;
      }
    }
    if (history.lists_some && !is_known) {
      devices.push_back({now.device, now.read_bytes, now.written_bytes});
      continue;
    }
    const auto layer = layers.of(*disk, now_us);
    if (!layer) {
      // The next reading adds what this one would have.
      out.is_whole = false;
      if (is_known) devices.push_back(seen);
      continue;
    }
    if (seen.read_bytes != now.read_bytes || seen.written_bytes != now.written_bytes)
      out.is_changed = true;
    for (const auto& [counts, totals] : {std::pair(layer->is_bottom, &history.sums.bottom),
                                         std::pair(layer->is_top, &history.sums.top)}) {
      if (!counts) continue;
      add(totals->read_bytes, seen.read_bytes, now.read_bytes);
      add(totals->written_bytes, seen.written_bytes, now.written_bytes);
    }
    devices.push_back({now.device, now.read_bytes, now.written_bytes});
  }
  if (devices.size() != history.devices.size()) out.is_changed = true;
  history.devices = std::move(devices);
  history.lists_some = false;
  return out;
}

std::string pack_io_history(const IoHistory& history) {
  std::string out;
  append(out, Packed{history.devices.size(), history.sums.totals()});
  for (const auto& device : history.devices) {
    append(out, PackedDevice{device.device.major, device.device.minor, device.read_bytes,
                             device.written_bytes});
  }
  append(out, history.sums);
  return out;
}

bool unpack_io_history(const void* data, size_t bytes, IoHistory& out) {
  Packed packed;
  if (bytes < sizeof(packed)) return false;
  std::memcpy(&packed, data, sizeof(packed));
  if (packed.count > (bytes - sizeof(packed)) / sizeof(PackedDevice)) return false;
  IoHistory history;
  const auto* at = static_cast<const uint8_t*>(data) + sizeof(packed);
  for (size_t i = 0; i < packed.count; ++i, at += sizeof(PackedDevice)) {
    PackedDevice device;
    std::memcpy(&device, at, sizeof(device));
    history.devices.push_back(
        {{device.major, device.minor}, device.read_bytes, device.written_bytes});
  }
  const size_t left = bytes - static_cast<size_t>(at - static_cast<const uint8_t*>(data));
  history.lists_some = left < sizeof(history.sums);
  if (history.lists_some) {
    history.sums = {packed.totals, packed.totals};
  } else {
    std::memcpy(&history.sums, at, sizeof(history.sums));
  }
  out = std::move(history);
  return true;
}

}  // namespace vprocfs
