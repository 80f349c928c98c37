#pragma once

#include <cstdint>
#include <string>

namespace vprocfs {

/// The length of a file for readers that read it from the page cache.
struct StableLength {
  uint32_t bytes = 0;  ///< 0: nobody was told of one
  uint32_t seam = 0;   ///< its length before it grew to this one; 0: none

  friend bool operator==(StableLength a, StableLength b) {
    return a.bytes == b.bytes && a.seam == b.seam;
  }
};

/// Keeps the length of a file the same from snapshot to snapshot, for readers that read it from the
/// page cache: if the length changed while they read, they would get truncated or mixed text.
///
/// `text` is filled up to the length that it had `before` with blanks at the end of its last line
/// that is not empty, which no parser of these files minds. If it does not fit, if there was no
/// length before, or if it fills less than half of it, a new length with room to grow is chosen.
/// Returns the length that `text` now has. `fixed`: the file's own widths keep its length, so no
/// room is added.
///
/// A reader that has read all of a shorter file reads once more for its end, and gets what now lies
/// beyond. So a line is filled up with blanks to end at that length too, and the reader gets whole
/// new lines, as from a file of the kernel that grows.
StableLength stabilise(std::string& text, StableLength before, bool fixed);

}  // namespace vprocfs
