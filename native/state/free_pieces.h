#pragma once

#include <cstdint>
#include <vector>

namespace vprocfs {

/// Free pieces of a range of granules, by length. Not thread-safe.
class FreePieces {
 public:
  /// A longer piece is kept as several.
  static constexpr uint32_t kLongest = 4096;

  FreePieces() : pieces_(kLongest + 1), some_(kLongest / 64 + 1) {}

  void clear();
  void give(uint32_t at, uint32_t length);
  /// The first granule of a piece of `length`, cut from the shortest piece that is long enough; 0:
  /// there is none. Of several, the one that was given back last.
  uint32_t take(uint32_t length);

 private:
  std::vector<std::vector<uint32_t>> pieces_;
  std::vector<uint64_t> some_;  ///< a bit for each length of which there are pieces
};

}  // namespace vprocfs
