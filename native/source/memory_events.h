#pragma once

#include <cstdint>

namespace vprocfs {

/// How much of MemoryFacts::events is asked for.
enum class MemoryEvents : uint8_t {
  kNone,
  kStat,  ///< those in memory.stat, which is read anyhow
  kAll,   ///< oom_kill too: one file more
};

}  // namespace vprocfs
