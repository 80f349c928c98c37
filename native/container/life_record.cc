#include "container/life_record.h"

#include <cstring>
#include <utility>

namespace vprocfs {

LifeRecord::LifeRecord(StateFile* state, RecordType type, uint64_t key, uint64_t init_start_us,
                       uint64_t version)
    : state_(state), type_(type), key_(key), init_start_us_(init_start_us) {
  if (version != 0) append(begin_, version);
  append(begin_, init_start_us);
}

bool LifeRecord::is_of_later(const uint8_t* data, size_t bytes) const {
  const size_t version = begin_.size() - sizeof(init_start_us_);
  if (bytes < begin_.size() || std::memcmp(data, begin_.data(), version) != 0) return false;
  uint64_t start = 0;
  std::memcpy(&start, data + version, sizeof(start));
  return start > init_start_us_;
}

void LifeRecord::load(const Unpack& unpack) {
  if (state_ == nullptr) return;
  state_->for_each_of(key_, type_, [&](RecordIndex found, size_t bytes) {
    const uint8_t* data = state_->data(found);
    const size_t begin = begin_.size();
    if (is_of_later(data, bytes)) return;
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
  if (state_ == nullptr) return;
  record_ = state_->replace(record_, type_, key_, begin_ + packed, begin_);
}

void LifeRecord::store(size_t offset, std::string_view bytes) {
  if (record_ != 0) state_->store(record_, type_, key_, begin_, begin_.size() + offset, bytes);
}

void LifeRecord::drop() {
  if (record_ != 0) state_->release(std::exchange(record_, 0), type_, key_, begin_);
}

void LifeRecord::forget(StateFile* state, std::initializer_list<RecordType> types, uint64_t key,
                        uint64_t init_start_us) {
  std::string begin;
  append(begin, init_start_us);
  if (state != nullptr) state->release_all(types, key, begin);
}

}  // namespace vprocfs
