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
static_assert(std::is_trivially_copyable_v<IoHistory::Loss>);

constexpr uint64_t DeviceIo::*kBytes[] = {&DeviceIo::read_bytes, &DeviceIo::written_bytes,
                                          &DeviceIo::discarded_bytes};
constexpr uint64_t DeviceIo::*kRequests[] = {&DeviceIo::reads, &DeviceIo::writes,
                                             &DeviceIo::discards};

/// Nothing was ever lost of most containers: no more is kept of them than before.
bool has_lost(const IoHistory& history) {
  const auto any = [](const IoHistory::Loss& loss) {
    const DeviceIo& lost = loss.lost;
    return (lost.read_bytes | lost.written_bytes | lost.discarded_bytes | lost.reads | lost.writes |
            lost.discards) != 0;
  };
  return std::any_of(history.losses.begin(), history.losses.end(), any);
}

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

bool restore_lost(IoHistory& history, IoFacts& io, bool with_requests) {
  if (!io.loses_ended) return false;
  std::vector<IoHistory::Loss> losses;
  bool changed = false;
  for (DeviceIo& now : io.devices) {
    IoHistory::Loss loss{now, {now.device}};
    // As an earlier worker has seen it, which keeps no more while nothing is lost.
    for (const auto& known : history.devices) {
      if (!(known.device == now.device)) continue;
      loss.seen.read_bytes = known.read_bytes;
      loss.seen.written_bytes = known.written_bytes;
    }
    for (const auto& known : history.losses) {
      if (known.seen.device == now.device) loss = known;
    }
    const auto take = [&](uint64_t DeviceIo::*figure) {
      uint64_t& seen = loss.seen.*figure;
      if (now.*figure < seen) loss.lost.*figure += seen - now.*figure;
      changed = changed || seen != now.*figure;
      seen = now.*figure;
      now.*figure = saturating_add(now.*figure, loss.lost.*figure);
    };
    for (const auto figure : kBytes) take(figure);
    if (with_requests) {
      for (const auto figure : kRequests) take(figure);
    }
    losses.push_back(loss);
  }
  history.losses = std::move(losses);
  return changed && has_lost(history);
}

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
  if (has_lost(history)) {
    for (const auto& loss : history.losses) append(out, loss);
  }
  return out;
}

bool unpack_io_history(const void* data, size_t bytes, IoHistory& out) {
  Packed packed;
  if (bytes < sizeof(packed)) return false;
  std::memcpy(&packed, data, sizeof(packed));
  const size_t room = bytes - sizeof(packed);
  if (packed.count > room / sizeof(PackedDevice)) return false;
  const size_t rest = room - packed.count * sizeof(PackedDevice);
  if (rest % sizeof(IoHistory::Loss) != 0) return false;
  IoHistory history;
  history.totals = {packed.read_bytes, packed.written_bytes};
  const auto* at = static_cast<const uint8_t*>(data) + sizeof(packed);
  for (size_t i = 0; i < packed.count; ++i, at += sizeof(PackedDevice)) {
    PackedDevice device;
    std::memcpy(&device, at, sizeof(device));
    history.devices.push_back(
        {{device.major, device.minor}, device.read_bytes, device.written_bytes});
  }
  history.losses.resize(rest / sizeof(IoHistory::Loss));
  if (rest != 0) std::memcpy(history.losses.data(), at, rest);
  out = std::move(history);
  return true;
}

}  // namespace vprocfs
