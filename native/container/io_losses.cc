#include "container/io_losses.h"

#include <cstring>
#include <type_traits>
#include <utility>

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

}  // namespace

bool IoLosses::restore(IoFacts& io, bool with_requests) {
  if (!io.loses_ended) return false;
  std::vector<Device> now;
  bool changed = false;
  for (DeviceIo& reading : io.devices) {
    Device one{reading.device, {}, {}, {}, {}, {}, {}};
    for (const Device& known : devices) {
      if (known.device == reading.device) one = known;
    }
    for (const Field& field : kFields) {
      if (field.is_of_requests && !with_requests) continue;
      UnfailingCounter& counter = one.*field.counter;
      if (counter.take(reading.*field.figure)) changed = true;
      reading.*field.figure = counter.told();
    }
    now.push_back(one);
  }
  devices = std::move(now);
  return changed;
}

uint64_t IoLosses::told() const {
  uint64_t sum = 0;
  for (const Device& one : devices) {
    for (const Field& field : kFields) sum = saturating_add(sum, (one.*field.counter).told());
  }
  return sum;
}

std::string IoLosses::pack() const {
  return {reinterpret_cast<const char*>(devices.data()), devices.size() * sizeof(Device)};
}

bool IoLosses::unpack(const void* data, size_t bytes, IoLosses& out) {
  if (bytes % sizeof(Device) != 0) return false;
  out.devices.resize(bytes / sizeof(Device));
  if (bytes != 0) std::memcpy(out.devices.data(), data, bytes);
  return true;
}

}  // namespace vprocfs
