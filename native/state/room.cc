#include "state/room.h"

#include <algorithm>
#include <cstddef>

namespace vprocfs {
namespace {

/// Free pieces are merged only after one part in so many of the room was given back. Merging goes
/// through all of the room, and a reader that opens and closes files could cause it each time.
constexpr uint32_t kMergeParts = 64;

}  // namespace

uint32_t Room::take(uint32_t length) {
  uint32_t at = pieces_.take(length);
  if (at == 0 && end_ - next_ < length && freed_ >= (end_ - first_) / kMergeParts) {
    merge();
    at = pieces_.take(length);
  }
  if (at == 0) {
    if (end_ - next_ < length) return 0;
    at = next_;
    next_ += length;
  }
  note(at, length);
  return at;
}

void Room::free(uint32_t at) {
  const uint32_t length = length_of(at);
  if (length == 0) return;
  lengths_[at - first_] = 0;
  freed_ += length;
  pieces_.give(at, length);
}

uint32_t Room::length_of(uint32_t at) const {
  return at >= first_ && at - first_ < lengths_.size() ? lengths_[at - first_] : 0;
}

void Room::adopt(uint32_t at, uint32_t length) {
  note(at, length);
  next_ = at + length;
}

void Room::note(uint32_t at, uint32_t length) {
  if (lengths_.size() <= at - first_) lengths_.resize(size_t{at - first_} + 1);
  lengths_[at - first_] = length;
}

void Room::merge() {
  pieces_.clear();
  freed_ = 0;
  uint32_t end = 0;  // of the last run, from first_
  for (uint32_t at = 0; at < lengths_.size();) {
    if (lengths_[at] == 0) {
      ++at;
      continue;
    }
    pieces_.give(first_ + end, at - end);
    at += lengths_[at];
    end = at;
  }
  // All room behind the last run counts as never used.
  lengths_.resize(std::min<size_t>(lengths_.size(), end));
  next_ = first_ + end;
}

}  // namespace vprocfs
