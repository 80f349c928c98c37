#include "container/life_record.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vprocfs {

bool LifeStarts::has(uint64_t start_us) const {
  return start_us == first_us ||
         std::find(others_us.begin(), others_us.end(), start_us) != others_us.end();
}

uint64_t LifeStarts::oldest_us() const {
  uint64_t oldest = first_us;
  for (const uint64_t other : others_us) oldest = std::min(oldest, other);
  return oldest;
}

LifeRecord::LifeRecord(StateFile* state, RecordType type, uint64_t key, LifeStarts starts,
                       uint64_t version)
    : state_(state), type_(type), key_(key), starts_(std::move(starts)) {
  if (version != 0) append(begin_, version);
  append(begin_, starts_.first_us);
}

std::optional<uint64_t> LifeRecord::start_in(std::string_view content) const {
  uint64_t start_us = 0;
  const size_t version = begin_.size() - sizeof(start_us);
  if (content.size() < begin_.size() || begin_.compare(0, version, content, 0, version) != 0) {
    return std::nullopt;
  }
  std::memcpy(&start_us, content.data() + version, sizeof(start_us));
  return start_us;
}

void LifeRecord::load(const Unpack& unpack, const Earlier& earlier) {
  if (state_ == nullptr) return;
  state_->for_each_of(key_, type_, [&](RecordIndex found, std::string_view content) {
    const auto start_us = start_in(content);
    const std::string_view packed = start_us ? content.substr(begin_.size()) : std::string_view();
    const bool ours = start_us && starts_.has(*start_us);
    const bool is_of_later = start_us && !ours && *start_us > starts_.first_us;
    if (is_of_later) return;
    if (earlier && start_us && !ours) earlier(packed.data(), packed.size());
    if (!ours || !unpack(packed.data(), packed.size())) {
      state_->release(found, type_, key_);
      return;
    }
    drop();
    record_ = found;
    if (*start_us == starts_.first_us) return;
    record_ = state_->replace(found, type_, key_, begin_ + std::string(packed));
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
                        const LifeStarts& starts, uint64_t version) {
  if (state == nullptr) return;
  const auto release = [&](uint64_t start_us) {
    std::string begin;
    if (version != 0) append(begin, version);
    append(begin, start_us);
    state->release_all(types, key, begin);
  };
  release(starts.first_us);
  for (const uint64_t start_us : starts.others_us) release(start_us);
}

}  // namespace vprocfs
