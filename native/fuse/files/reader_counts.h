#pragma once

#include <array>
#include <cstdint>

#include "container/container.h"
#include "container/life_record.h"
#include "view/view.h"

namespace vprocfs {

/// How many readers the kernel's copies of a container's files have, by View::index: those that
/// this worker has counted, and those that a worker before it had. Not thread-safe.
class ReaderCounts {
 public:
  explicit ReaderCounts(const Container& container);
  ReaderCounts(const ReaderCounts&) = delete;
  ReaderCounts& operator=(const ReaderCounts&) = delete;

  /// A file was opened.
  void add(uint16_t view_index);
  /// It was closed. `own`: this worker had counted it.
  void drop(uint16_t view_index, bool own);
  uint32_t own(uint16_t view_index) const { return own_[view_index]; }
  uint32_t of_before(uint16_t view_index) const { return before_[view_index]; }
  /// Those of a worker before this one are no readers any more.
  void forget_before();

 private:
  using Counts = std::array<uint32_t, kViewSlots>;
  /// Keeps the count for the next worker. It may include a reader whose OPEN was never answered,
  /// which the next worker forgets after a while.
  void keep(uint16_t view_index);

  LifeRecord record_;
  Counts own_{}, before_{};
};

}  // namespace vprocfs
