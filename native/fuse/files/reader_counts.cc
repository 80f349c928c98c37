#include "fuse/files/reader_counts.h"

#include <cstring>
#include <string>
#include <string_view>

namespace vprocfs {

ReaderCounts::ReaderCounts(const Container& container)
    : record_(container.state(), RecordType::kReaders, container.id().packed(),
              container.starts()) {
  bool found = false;
  record_.load([&](const void* data, size_t bytes) {
    if (found || bytes < sizeof(before_)) return false;
    std::memcpy(before_.data(), data, sizeof(before_));
    return found = true;
  });
  if (!found) record_.save(std::string(sizeof(before_), '\0'));
}

void ReaderCounts::keep(uint16_t view_index) {
  const uint32_t all = own_[view_index] + before_[view_index];
  const std::string_view bytes(reinterpret_cast<const char*>(&all), sizeof(all));
  record_.store(view_index * sizeof(all), bytes);
}

void ReaderCounts::add(uint16_t view_index) {
  ++own_[view_index];
  keep(view_index);
}

void ReaderCounts::drop(uint16_t view_index, bool own) {
  // A container that was forgotten and found again may close files that were not counted here.
  uint32_t& count = (own ? own_ : before_)[view_index];
  if (count > 0) --count;
  keep(view_index);
}

void ReaderCounts::forget_before() {
  before_ = {};
  for (uint16_t index = 0; index < kViewSlots; ++index) keep(index);
}

}  // namespace vprocfs
