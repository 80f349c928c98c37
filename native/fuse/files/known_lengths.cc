#include "fuse/files/known_lengths.h"

#include <cstring>
#include <string>
#include <vector>

namespace vprocfs {
namespace {

/// As they lie in the state file, after the start of the container's init (CLOCK_BOOTTIME µs),
/// which tells one life of a container from the next.
struct Packed {
  uint32_t view_index, bytes, seam;
};

}  // namespace

KnownLengths::KnownLengths(const Container& container)
    : container_(container), state_(container.state()) {
  if (state_ == nullptr) return;
  const uint64_t ours = container.id().packed(), life = container.description().init_start_us;
  std::vector<RecordIndex> useless;
  state_->for_each(RecordType::kLengths, [&](RecordIndex found, uint64_t key, size_t bytes) {
    if (key != ours) return;
    const uint8_t* at = state_->data(found);
    // A worker that died while it kept a new one leaves two: it had told nobody yet.
    if (record_ != 0 || bytes < sizeof(life) || std::memcmp(at, &life, sizeof(life)) != 0) {
      useless.push_back(found);
      return;
    }
    record_ = found;
    for (size_t i = sizeof(life); i + sizeof(Packed) <= bytes; i += sizeof(Packed)) {
      Packed packed;
      std::memcpy(&packed, at + i, sizeof(packed));
      lengths_[static_cast<uint16_t>(packed.view_index)] = {packed.bytes, packed.seam};
    }
  });
  for (const RecordIndex record : useless) state_->release(record, RecordType::kLengths, ours);
}

KnownLengths::~KnownLengths() {
  if (record_ != 0 && container_.dead()) {
    state_->release(record_, RecordType::kLengths, container_.id().packed());
  }
}

StableLength KnownLengths::of(uint16_t view_index) const {
  const auto it = lengths_.find(view_index);
  return it == lengths_.end() ? StableLength{} : it->second;
}

void KnownLengths::set(uint16_t view_index, StableLength length) {
  StableLength& present = lengths_[view_index];
  if (present == length) return;
  present = length;
  if (state_ == nullptr) return;
  const uint64_t life = container_.description().init_start_us;
  std::string out(reinterpret_cast<const char*>(&life), sizeof(life));
  for (const auto& [index, known] : lengths_) {
    const Packed packed{index, static_cast<uint32_t>(known.bytes),
                        static_cast<uint32_t>(known.seam)};
    out.append(reinterpret_cast<const char*>(&packed), sizeof(packed));
  }
  record_ = state_->replace(record_, RecordType::kLengths, container_.id().packed(), out);
}

}  // namespace vprocfs
