#pragma once

#include <cstdint>
#include <map>

#include "container/container.h"
#include "container/life_record.h"
#include "view/stable.h"

namespace vprocfs {

/// The lengths of a container's files that the kernel was told in contract `tick`. The next worker
/// reports the same lengths, because otherwise a reader that has read a whole file would find more
/// of it. Not thread-safe.
class KnownLengths {
 public:
  /// Those of the worker before, where there are some. `container` outlives this.
  explicit KnownLengths(const Container& container);
  /// Forgets them for good when the container has ended.
  ~KnownLengths();
  KnownLengths(const KnownLengths&) = delete;
  KnownLengths& operator=(const KnownLengths&) = delete;

  /// By View::index; {} when none was told.
  StableLength of(uint16_t view_index) const;
  /// To be called before anybody is told. When the state file is full it is not kept for the next
  /// worker.
  void set(uint16_t view_index, StableLength length);

 private:
  const Container& container_;
  LifeRecord record_;
  std::map<uint16_t, StableLength> lengths_;
};

}  // namespace vprocfs
