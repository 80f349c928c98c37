#pragma once

#include <cstdint>
#include <string>

#include "container/cpu_history.h"

namespace vprocfs {

/// A CPU history as plain bytes for the state file. `init_start_us` tells one life of a container
/// from the next.
std::string pack_history(const CpuHistory& history, uint64_t init_start_us);

/// False when the bytes are no history of that life.
bool unpack_history(const void* data, size_t bytes, uint64_t init_start_us, CpuHistory& out);

}  // namespace vprocfs
