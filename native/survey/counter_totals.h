#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/unfailing_counter.h"
#include "source/container_id.h"

namespace vprocfs {

/// Counters of a container that the kernel does not keep for as long as it lives.
struct KeptCounters {
  uint64_t start_us = 0;  ///< CLOCK_BOOTTIME: the life that they are of
  uint64_t above_us = 0;  ///< the time that quotas above the container have held it back
  UnfailingCounter read_bytes, written_bytes;  ///< over all block devices
};

/// The same of all containers, kept in a file so that with the next worker no counter falls.
struct CounterTotals {
  std::map<ContainerId, KeptCounters> entries;

  std::string text() const;
  /// Nothing: `text` is not a whole text() of this version.
  static std::optional<CounterTotals> parse(std::string_view text);
  /// Empty if there is no such file, or not a whole one.
  static CounterTotals load(const std::string& path);
};

}  // namespace vprocfs
