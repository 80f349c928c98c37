#include "fuse/files/kmsg_cursor.h"

#include <algorithm>

namespace vprocfs {

KmsgCursor::ReadOutcome KmsgCursor::read_at(uint64_t at, uint64_t first, uint64_t end) {
  if (rewinds(at)) {
    next = first;
    offset = 0;
  }
  // Beyond the end: that log is gone, and this is another one.
  if (next < first || next > end) {
    next = first;
    return ReadOutcome::kLoss;
  }
  return next < end ? ReadOutcome::kRecord : ReadOutcome::kNothing;
}

void KmsgCursor::advance(uint64_t at, uint64_t bytes) {
  ++next;
  offset = at + bytes;
}

void KmsgCursor::seek(uint64_t record) {
  next = record;
  offset = std::max(offset, kSeekDataOffset);
}

}  // namespace vprocfs
