#include "fuse/files/known_lengths.h"

#include <cstring>
#include <string>

namespace vprocfs {
namespace {

/// As they lie in the state file.
struct Packed {
  uint32_t view_index, bytes, seam;
};

}  // namespace

KnownLengths::KnownLengths(const Container& container)
    : container_(container),
      record_(container.state(), RecordType::kLengths, container.id().packed(),
              container.description().init_start_us) {
  record_.load([this](const void* data, size_t bytes) {
    // A worker that died while it kept a new one leaves two: it had told nobody yet.
    if (!lengths_.empty()) return false;
    const auto* at = static_cast<const uint8_t*>(data);
    for (size_t i = 0; i + sizeof(Packed) <= bytes; i += sizeof(Packed)) {
      Packed packed;
      std::memcpy(&packed, at + i, sizeof(packed));
      lengths_[static_cast<uint16_t>(packed.view_index)] = {packed.bytes, packed.seam};
    }
    return true;
  });
}

KnownLengths::~KnownLengths() {
  if (container_.dead()) record_.drop();
}

StableLength KnownLengths::of(uint16_t view_index) const {
  const auto it = lengths_.find(view_index);
  return it == lengths_.end() ? StableLength{} : it->second;
}

void KnownLengths::set(uint16_t view_index, StableLength length) {
  StableLength& present = lengths_[view_index];
  if (present == length) return;
  present = length;
  std::string packed;
  for (const auto& [index, known] : lengths_) {
    append(packed,
           Packed{index, static_cast<uint32_t>(known.bytes), static_cast<uint32_t>(known.seam)});
  }
  record_.save(packed);
}

}  // namespace vprocfs
