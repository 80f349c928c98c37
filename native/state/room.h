#pragma once

#include <cstdint>
#include <vector>

#include "state/free_pieces.h"

namespace vprocfs {

/// Which granules of a part of the state file are taken, as runs. Not thread-safe.
class Room {
 public:
  /// Granules `first` to `end`, without `end`. `first` is at least 1.
  Room(uint32_t first, uint32_t end) : first_(first), end_(end), next_(first) {}

  /// The beginning of a run of `length` granules (1 to FreePieces::kLongest) that is taken from now
  /// on; 0: there is none. Free pieces are merged first if no other room is left.
  uint32_t take(uint32_t length);
  /// Frees the run that begins at `at`.
  void free(uint32_t at);
  /// The length of the taken run that begins at `at`; 0 when none does, or not in this part.
  uint32_t length_of(uint32_t at) const;

  /// Notes a run that is taken already. Call for runs in ascending order, then merge().
  void adopt(uint32_t at, uint32_t length);
  /// Joins free pieces that lie side by side, also with the unused end.
  void merge();

  uint32_t first() const { return first_; }
  /// No run ends beyond it; first() when none was ever taken.
  uint32_t used_to() const { return next_; }

 private:
  void note(uint32_t at, uint32_t length);

  uint32_t first_, end_;
  FreePieces pieces_;              ///< before next_
  std::vector<uint32_t> lengths_;  ///< of taken runs, by first granule - first_
  uint32_t next_;                  ///< all granules from here on are free
  uint32_t freed_ = 0;             ///< granules since free pieces were merged
};

}  // namespace vprocfs
