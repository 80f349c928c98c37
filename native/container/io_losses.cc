#include "container/io_losses.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/wide.h"
#include "container/life_record.h"

namespace vprocfs {
namespace {

struct Field {
  uint64_t DeviceIo::*figure;
  UnfailingCounter IoLosses::Device::*counter;
  bool is_of_requests;
};

constexpr Field kFields[] = {
    {&DeviceIo::read_bytes, &IoLosses::Device::read_bytes, false},
    {&DeviceIo::written_bytes, &IoLosses::Device::written_bytes, false},
    {&DeviceIo::discarded_bytes, &IoLosses::Device::discarded_bytes, false},
    {&DeviceIo::reads, &IoLosses::Device::reads, true},
    {&DeviceIo::writes, &IoLosses::Device::writes, true},
    {&DeviceIo::discards, &IoLosses::Device::discards, true}};

static_assert(std::is_trivially_copyable_v<IoLosses::Device>);

/// No device's: in the state file it stands between those of the present cgroup, all that earlier
/// versions have, and the others, and has the number of that cgroup for bytes read.
constexpr DeviceNumber kMark{UINT32_MAX, UINT32_MAX};
constexpr size_t kMaxUnused = 256;

IoLosses::Device of(DeviceNumber device) { return {device, {}, {}, {}, {}, {}, {}}; }

auto find(std::vector<IoLosses::Device>& list, DeviceNumber device) {
  return std::find_if(list.begin(), list.end(),
                      [&](const IoLosses::Device& one) { return one.device == device; });
}

std::optional<IoLosses::Device> take_out(std::vector<IoLosses::Device>& list, DeviceNumber device) {
  const auto at = find(list, device);
  if (at == list.end()) return std::nullopt;
  const IoLosses::Device one = *at;
  list.erase(at);
  return one;
}

void begin(IoLosses::Device& device, uint64_t base) {
  for (const Field& field : kFields) (device.*field.counter).begin_elsewhere(base);
}

}  // namespace

bool IoLosses::restore(IoFacts& io, bool with_requests, const std::vector<HostDisk>* disks) {
  if (!io.loses_ended) return false;
  const bool moved = io.place != place;
  bool changed = (disks != nullptr && forget_gone(*disks)) || moved;
  if (moved && place != 0) begin_elsewhere(io);
  place = io.place;
  std::vector<Device> now;
  for (DeviceIo& reading : io.devices) {
    Device one = take_out(devices, reading.device)
                     .value_or(take_out(unused, reading.device).value_or(of(reading.device)));
    for (const Field& field : kFields) {
      if (field.is_of_requests && !with_requests) continue;
      UnfailingCounter& counter = one.*field.counter;
      if (counter.take(reading.*field.figure)) changed = true;
      reading.*field.figure = counter.reported();
    }
    now.push_back(one);
  }
  devices = std::move(now);
  for (const Device& one : unused) {
    DeviceIo& known = io.devices.emplace_back();
    known.device = one.device;
    for (const Field& field : kFields) known.*field.figure = (one.*field.counter).reported();
  }
  return changed;
}

/// No reading of the cgroup shows that one of these has gone.
bool IoLosses::forget_gone(const std::vector<HostDisk>& disks) {
  const auto is_gone = [&](const Device& one) {
    return std::none_of(disks.begin(), disks.end(),
                        [&](const HostDisk& disk) { return disk.device == one.device; });
  };
  const auto gone = std::remove_if(unused.begin(), unused.end(), is_gone);
  if (gone == unused.end()) return false;
  unused.erase(gone, unused.end());
  return true;
}

/// Requests may be read later than bytes, so each figure begins with its own next reading.
void IoLosses::begin_elsewhere(const IoFacts& io) {
  for (const DeviceIo& reading : io.devices) {
    if (find(devices, reading.device) != devices.end()) continue;
    devices.push_back(take_out(unused, reading.device).value_or(of(reading.device)));
  }
  for (Device& one : devices) {
    if (io.find(one.device) != nullptr) {
      begin(one, UINT64_MAX);
    } else if (unused.size() < kMaxUnused) {
      begin(one, 0);
      unused.push_back(one);
    }
  }
}

uint64_t IoLosses::reported() const {
  uint64_t sum = 0;
  for (const std::vector<Device>* list : {&devices, &unused}) {
    for (const Device& one : *list) {
      for (const Field& field : kFields) sum = saturating_add(sum, (one.*field.counter).reported());
    }
  }
  return sum;
}

std::string IoLosses::pack() const {
  Device mark = of(kMark);
  mark.read_bytes.seen = place;
  std::string out;
  for (const Device& one : devices) append(out, one);
  append(out, mark);
  for (const Device& one : unused) append(out, one);
  return out;
}

bool IoLosses::unpack(const void* data, size_t bytes, IoLosses& out) {
  if (bytes % sizeof(Device) != 0) return false;
  std::vector<Device>* list = &out.devices;
  const auto* at = static_cast<const uint8_t*>(data);
  for (size_t left = bytes / sizeof(Device); left > 0; --left, at += sizeof(Device)) {
    Device one;
    std::memcpy(&one, at, sizeof(one));
    if (one.device == kMark) {
      out.place = one.read_bytes.seen;
      list = &out.unused;
    } else {
      list->push_back(one);
    }
  }
  return true;
}

}  // namespace vprocfs
