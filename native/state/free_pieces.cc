#include "state/free_pieces.h"

#include <algorithm>

namespace vprocfs {

void FreePieces::clear() {
  for (auto& list : pieces_) list.clear();
  std::fill(some_.begin(), some_.end(), 0);
}

void FreePieces::give(uint32_t at, uint32_t length) {
  while (length > 0) {
    const uint32_t piece = std::min(length, kLongest);
    pieces_[piece].push_back(at);
    some_[piece / 64] |= uint64_t{1} << piece % 64;
    at += piece;
    length -= piece;
  }
}

uint32_t FreePieces::take(uint32_t length) {
  size_t word = length / 64;
  uint64_t bits = some_[word] >> length % 64 << length % 64;
  while (bits == 0 && ++word < some_.size()) bits = some_[word];
  if (bits == 0) return 0;
  const auto found =
      static_cast<uint32_t>(word * 64) + static_cast<uint32_t>(__builtin_ctzll(bits));
  const uint32_t at = pieces_[found].back();
  pieces_[found].pop_back();
  if (pieces_[found].empty()) some_[word] &= ~(uint64_t{1} << found % 64);
  give(at + length, found - length);
  return at;
}

}  // namespace vprocfs
