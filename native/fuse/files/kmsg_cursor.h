#pragma once

#include <cstdint>

namespace vprocfs {

/// The position of a reader of /dev/kmsg. The kernel's VFS knows nothing of records, and we learn
/// only from the next read how it has moved the file position.
struct KmsgCursor {
  uint64_t next = 0;    ///< number of the record that is read next
  uint64_t offset = 0;  ///< where a read is expected that nobody has sought for

  /// What there is for a read.
  enum class ReadOutcome : uint8_t {
    kNothing,  ///< not yet
    kRecord,   ///< the one with the number `next`
    kLoss,     ///< records are gone that it has not read: it goes on with the oldest
  };

  /// Whether a read at an offset begins at the oldest record: 0 where another one is expected.
  bool rewinds(uint64_t at) const { return at == 0 && offset != 0; }
  /// Takes in the offset of a read, and what is there: the records from `first` to before `end`.
  ReadOutcome read_at(uint64_t at, uint64_t first, uint64_t end);
  /// A record of so many bytes was read at `at`. The kernel does not move where it was too long.
  void advance(uint64_t at, uint64_t bytes);
  /// SEEK_END, SEEK_DATA: goes on with a record. What was read before counts as a part of the file.
  void seek(uint64_t record);
};

/// What SEEK_DATA is answered with. Not 0, which rewinds.
inline constexpr uint64_t kSeekDataOffset = 1;

/// The size that is reported for the file. It is larger than any log, because tools that follow a
/// file start again if it is shorter than what they have read, but small enough that archiving it
/// does not take long. `furthest` is the highest offset that a reader of it has; the kernel takes
/// no size beyond 63 bits.
constexpr uint64_t kmsg_size(uint64_t furthest) {
  constexpr uint64_t kMaxOffset = uint64_t{1} << 62;
  return (uint64_t{16} << 20) + (furthest < kMaxOffset ? furthest : kMaxOffset);
}

}  // namespace vprocfs
