#include "container/io_history.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/affix.h"
#include "base/wide.h"
#include "container/life_record.h"

namespace vprocfs {
namespace {

struct Packed {
  uint64_t count, read_bytes, written_bytes;
};

struct PackedDevice {
  uint32_t major, minor;
  uint64_t read_bytes, written_bytes;
};

static_assert(std::is_trivially_copyable_v<Packed> && std::is_trivially_copyable_v<PackedDevice>);

bool is_stacked(std::string_view name) {
  for (const std::string_view prefix : {"dm-", "md", "loop", "drbd"}) {
    if (starts_with(name, prefix)) return true;
  }
  return false;
}

const HostDisk* disk_of(const std::vector<HostDisk>& disks, DeviceNumber device) {
  const auto at = std::find_if(disks.begin(), disks.end(),
                               [&](const HostDisk& disk) { return disk.device == device; });
  return at == disks.end() ? nullptr : &*at;
}

void add(uint64_t& total, uint64_t seen, uint64_t now) {
  total = saturating_add(total, now >= seen ? now - seen : now);
}

}  // namespace

bool advance(IoHistory& history, const IoFacts& io, const std::vector<HostDisk>& disks) {
  std::vector<IoHistory::Device> devices;
  bool changed = false;
  for (const DeviceIo& now : io.devices) {
    const HostDisk* disk = disk_of(disks, now.device);
    if (disk == nullptr || is_stacked(disk->name)) continue;
    IoHistory::Device seen{now.device, 0, 0};
    for (const auto& device : history.devices) {
      if (device.device == now.device) seen = device;
    }
    if (seen.read_bytes != now.read_bytes || seen.written_bytes != now.written_bytes)
      changed = true;
    add(history.totals.read_bytes, seen.read_bytes, now.read_bytes);
    add(history.totals.written_bytes, seen.written_bytes, now.written_bytes);
    devices.push_back({now.device, now.read_bytes, now.written_bytes});
  }
  if (devices.size() != history.devices.size()) changed = true;
  history.devices = std::move(devices);
  return changed;
}

std::string pack_io_history(const IoHistory& history) {
  std::string out;
  append(out,
         Packed{history.devices.size(), history.totals.read_bytes, history.totals.written_bytes});
  for (const auto& device : history.devices) {
    append(out, PackedDevice{device.device.major, device.device.minor, device.read_bytes,
                             device.written_bytes});
  }
  return out;
}

bool unpack_io_history(const void* data, size_t bytes, IoHistory& out) {
  Packed packed;
  if (bytes < sizeof(packed)) return false;
  std::memcpy(&packed, data, sizeof(packed));
  if (packed.count > (bytes - sizeof(packed)) / sizeof(PackedDevice)) return false;
  IoHistory history;
  history.totals = {packed.read_bytes, packed.written_bytes};
  const auto* at = static_cast<const uint8_t*>(data) + sizeof(packed);
  for (size_t i = 0; i < packed.count; ++i, at += sizeof(PackedDevice)) {
    PackedDevice device;
    std::memcpy(&device, at, sizeof(device));
    history.devices.push_back(
        {{device.major, device.minor}, device.read_bytes, device.written_bytes});
  }
  out = std::move(history);
  return true;
}

}  // namespace vprocfs
