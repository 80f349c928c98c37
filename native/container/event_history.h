#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "facts/memory.h"

namespace vprocfs {

/// Events of a container's memory that every kernel tells of, which it counts anew in a cgroup of
/// v1 that the container is moved to, and on v2 once the controller was off.
struct EventHistory {
  static constexpr std::array<const char*, 3> kKeys = {"pgfault", "pgmajfault", "oom_kill"};

  struct Counter {
    uint64_t seen = 0;  ///< what the cgroup had counted at the last reading
    uint64_t reported = 0;
  };
  uint64_t place = 0;  ///< the inode number of the cgroup of the last reading; 0: none yet
  std::array<Counter, kKeys.size()> counters;  ///< as kKeys

  /// The sum of what was reported: of two of one life, the lower one is older.
  uint64_t reported() const;
};

/// Takes a new reading into `history`, and replaces what it says by what is reported: no less than
/// before, and nothing of what a cgroup had counted when the container was first read there. True
/// when that changed the history.
bool advance(EventHistory& history, uint64_t place, std::vector<MemoryEvent>& events);

/// As plain bytes for the state file.
std::string pack_events(const EventHistory& history);

/// False when the bytes are no history.
bool unpack_events(const void* data, size_t bytes, EventHistory& out);

}  // namespace vprocfs
