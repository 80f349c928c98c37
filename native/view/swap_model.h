#pragma once

#include <cstdint>

#include "facts/facts.h"

namespace vprocfs {

/// The swap of a container as all files show it (meminfo, swaps), in kB.
struct SwapModel {
  bool from_host = false;  ///< nothing limits or accounts this container: the host's own figures
  uint64_t total_kb = 0;
  uint64_t free_kb = 0;  ///< at most total_kb
  /// The container's own use, at most total_kb. What else is not free others have used.
  uint64_t own_kb = 0;

  uint64_t used_kb() const { return total_kb - free_kb; }
};

/// Swap from `facts.memory` and `facts.host_meminfo`.
///
/// Total: the limit, at least what is swapped out already, at most the host's SwapTotal; the host's
/// SwapTotal when unlimited; 0 on v1 with swappiness 0 and nothing swapped out. Free: total less
/// the container's own use, which counts as 0 where the kernel does not account it.
SwapModel swap_model(const Facts& facts);

}  // namespace vprocfs
