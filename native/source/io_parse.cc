#include "source/io_parse.h"

#include <algorithm>

#include "source/parse.h"

namespace vprocfs {
namespace {

/// More than any host has; keeps the look-up of a device cheap whatever the file says.
constexpr size_t kMaxDevices = 4096;
constexpr uint64_t kMaxMajor = 4095, kMaxMinor = (1u << 20) - 1;  // include/linux/kdev_t.h

/// Calls `word` for each word of a text, whatever separates them.
template <typename F>
void for_each_word(std::string_view text, F word) {
  for_each_line(text, [&](std::string_view line) {
    for (;;) {
      const std::string_view next = take_word(line);
      if (next.empty()) return;
      word(next);
    }
  });
}

struct IoKey {
  std::string_view name;
  uint64_t DeviceIo::*field;
};

constexpr IoKey kStatKeys[] = {
    {"rbytes", &DeviceIo::read_bytes}, {"wbytes", &DeviceIo::written_bytes},
    {"rios", &DeviceIo::reads},        {"wios", &DeviceIo::writes},
    {"dios", &DeviceIo::discards},     {"dbytes", &DeviceIo::discarded_bytes},
};

/// One kind of request in the files of v1.
struct BlkioKey {
  std::string_view name;
  uint64_t DeviceIo::*bytes;
  uint64_t DeviceIo::*requests;
};

constexpr BlkioKey kBlkioKeys[] = {
    {"Read", &DeviceIo::read_bytes, &DeviceIo::reads},
    {"Write", &DeviceIo::written_bytes, &DeviceIo::writes},
    {"Discard", &DeviceIo::discarded_bytes, &DeviceIo::discards},
};

}  // namespace

std::optional<DeviceNumber> device_of(std::string_view major, std::string_view minor) {
  const auto x = parse_u64(major), y = parse_u64(minor);
  if (!x || !y || *x > kMaxMajor || *y > kMaxMinor) return std::nullopt;
  return DeviceNumber{static_cast<uint32_t>(*x), static_cast<uint32_t>(*y)};
}

std::optional<DeviceNumber> parse_device(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  return device_of(text.substr(0, colon), text.substr(colon + 1));
}

DeviceIo* io_of(IoFacts& facts, DeviceNumber device) {
  // Files name one device in several lines that follow each other.
  if (!facts.devices.empty() && facts.devices.back().device == device) return &facts.devices.back();
  for (auto& io : facts.devices) {
    if (io.device == device) return &io;
  }
  if (facts.devices.size() >= kMaxDevices) return nullptr;
  facts.devices.push_back(DeviceIo{device, 0, 0, 0, 0, 0, 0});
  return &facts.devices.back();
}

void add_io_stat(std::string_view text, IoFacts& facts) {
  DeviceIo* io = nullptr;
  for_each_word(text, [&](std::string_view word) {
    if (const auto device = parse_device(word)) {
      io = io_of(facts, *device);
      return;
    }
    const size_t sign = word.find('=');
    // "(unknown)": a path of an NVMe disk that has several, which is counted as the disk too.
    if (sign == std::string_view::npos) io = nullptr;
    if (io == nullptr) return;
    for (const auto& key : kStatKeys) {
      if (key.name != word.substr(0, sign)) continue;
      if (const auto value = parse_u64(word.substr(sign + 1))) io->*key.field = *value;
    }
  });
}

void add_io_max(std::string_view text, IoFacts& facts) {
  for_each_line(text, [&](std::string_view line) {
    if (const auto device = parse_device(take_word(line))) io_of(facts, *device);
  });
}

void add_blkio(std::string_view text, IoUnit unit, IoFacts& facts) {
  for_each_line(text, [&](std::string_view line) {
    const auto device = parse_device(take_word(line));
    const std::string_view kind = take_word(line);
    const auto value = parse_u64(line);
    if (!device || !value) return;
    DeviceIo* io = io_of(facts, *device);
    if (io == nullptr) return;
    for (const auto& key : kBlkioKeys) {
      if (key.name != kind) continue;
      uint64_t& field = io->*(unit == IoUnit::kBytes ? key.bytes : key.requests);
      field = std::max(field, *value);
    }
  });
}

}  // namespace vprocfs
