#include "container/life_record.h"

#include <cstring>
#include <utility>

namespace vprocfs {

LifeRecord::LifeRecord(StateFile* state, RecordType type, uint64_t key, uint64_t init_start_us,
                       uint64_t version)
    : state_(state), type_(type), key_(key) {
  if (version != 0) append(begin_, version);
  append(begin_, init_start_us);
}

void LifeRecord::load(const Unpack& unpack) {
  if (state_ == nullptr) return;
  state_->for_each(type_, [&](RecordIndex found, uint64_t key, size_t bytes) {
    if (key != key_) return;
    const uint8_t* data = state_->data(found);
    const size_t begin = begin_.size();
    const bool ours = bytes >= begin && std::memcmp(data, begin_.data(), begin) == 0;
    if (!ours || !unpack(data + begin, bytes - begin)) {
      state_->release(found, type_, key_);
      return;
    }
    drop();
    record_ = found;
  });
}

void LifeRecord::save(const std::string& packed) {
  if (state_ != nullptr) record_ = state_->replace(record_, type_, key_, begin_ + packed);
}

uint8_t* LifeRecord::data() {
  return record_ == 0 ? nullptr : state_->data(record_) + begin_.size();
}

void LifeRecord::drop() {
  if (record_ != 0) state_->release(std::exchange(record_, 0), type_, key_);
}

}  // namespace vprocfs
