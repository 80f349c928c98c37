#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "source/container_id.h"

namespace vprocfs {

/// Kills that were counted from the kernel's log, which is finite. They are stored in a file, so
/// that counts do not decrease with the next worker.
struct KillTotals {
  /// Containers that are remembered; there are not more in a survey.
  static constexpr size_t kMaxEntries = 10000;

  struct Entry {
    uint64_t kills = 0;
    uint64_t sequence = 0;  ///< of the log's record of the last one
  };
  std::map<ContainerId, Entry> entries;

  /// Counts a kill that is not counted yet; false when it is.
  bool count(ContainerId id, uint64_t sequence);

  std::string text() const;
  /// Nothing for what is no such text, or not a whole one.
  static std::optional<KillTotals> parse(std::string_view text);

  /// An empty one where there is none.
  static KillTotals load(const std::string& path);
  /// Whoever reads it meanwhile sees the old one or the new one.
  Result<bool> save(const std::string& path) const;
};

}  // namespace vprocfs
