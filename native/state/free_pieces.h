#pragma once

#include <cstdint>
#include <vector>

namespace vprocfs {

/// Free pieces of a row of granules, by length. Not thread-safe.
class FreePieces {
 public:
  /// Longer ones are kept as several.
  static constexpr uint32_t kLongest = 4096;

  FreePieces() : pieces_(kLongest + 1), some_(kLongest / 64 + 1) {}

  void clear();
  void give(uint32_t at, uint32_t length);
  /// The beginning of a piece of `length`, cut from the smallest that is long enough; 0 when there
  /// is none. The one that was given back last is taken first.
  uint32_t take(uint32_t length);

 private:
  std::vector<std::vector<uint32_t>> pieces_;
  std::vector<uint64_t> some_;  ///< a bit for each length that there is
};

}  // namespace vprocfs
