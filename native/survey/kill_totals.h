#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "source/container_id.h"

namespace vprocfs {

/// How many kills the kernel's log told of. The log is finite, so the counts are stored in a file
/// and do not decrease with the next worker.
struct KillTotals {
  struct Entry {
    uint64_t kills = 0;
    uint64_t sequence = 0;  ///< of the log's record about the last kill
  };
  std::map<ContainerId, Entry> entries;

  /// Counts a kill. False: it was counted already.
  bool count(ContainerId id, uint64_t sequence);

  std::string text() const;
  /// Nothing: `text` is not a whole text() of this version.
  static std::optional<KillTotals> parse(std::string_view text);

  /// Empty if there is no such file, or not a whole one.
  static KillTotals load(const std::string& path);
  Result<bool> save(const std::string& path) const;
};

}  // namespace vprocfs
