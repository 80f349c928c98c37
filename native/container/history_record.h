#pragma once

#include <string>

#include "container/cpu_history.h"

namespace vprocfs {

/// A CPU history as plain bytes for the state file.
std::string pack_history(const CpuHistory& history);

/// False when the bytes are no history.
bool unpack_history(const void* data, size_t bytes, CpuHistory& out);

}  // namespace vprocfs
