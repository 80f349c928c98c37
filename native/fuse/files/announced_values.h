#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>

#include "container/container.h"
#include "container/life_record.h"

namespace vprocfs {

/// What the kernel was told of a container's files, one value for each, by View::index: the next
/// worker has to know it, since readers are in the middle of what they were told. Not thread-safe.
template <typename Value>
class AnnouncedValues {
 public:
  static_assert(std::is_trivially_copyable_v<Value> &&
                std::has_unique_object_representations_v<Value>);

  /// Those of the worker before, where there are some.
  AnnouncedValues(const Container& container, RecordType type)
      : record_(container.state(), type, container.id().packed(), container.starts()) {
    record_.load([this](const void* data, size_t bytes) { return unpack(data, bytes); });
  }
  AnnouncedValues(const AnnouncedValues&) = delete;
  AnnouncedValues& operator=(const AnnouncedValues&) = delete;

  /// {} when nothing was told.
  Value of(uint16_t view_index) const {
    const auto it = values_.find(view_index);
    return it == values_.end() ? Value{} : it->second;
  }
  /// To be called before anybody is told; {}: nothing is known from now on. When the state file is
  /// full it is not kept for the next worker.
  void set(uint16_t view_index, Value value) {
    Value& present = values_[view_index];
    if (present == value) return;
    present = value;
    std::string packed;
    for (const auto& [index, told] : values_) {
      append(packed, uint32_t{index});
      append(packed, told);
    }
    record_.save(packed);
  }

 private:
  bool unpack(const void* data, size_t bytes) {
    // A worker that died while it kept a new record leaves two: it had told nobody yet.
    if (!values_.empty()) return false;
    constexpr size_t kRow = sizeof(uint32_t) + sizeof(Value);
    const auto* at = static_cast<const uint8_t*>(data);
    for (const uint8_t* const end = at + bytes / kRow * kRow; at != end; at += kRow) {
      uint32_t index = 0;
      std::memcpy(&index, at, sizeof(index));
      std::memcpy(&values_[static_cast<uint16_t>(index)], at + sizeof(index), sizeof(Value));
    }
    return true;
  }

  LifeRecord record_;
  std::map<uint16_t, Value> values_;
};

}  // namespace vprocfs
