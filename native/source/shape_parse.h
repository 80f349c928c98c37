#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "facts/host.h"
#include "facts/shape.h"

namespace vprocfs {

// parse_diskstats() and so on: what a file of the host says; nothing where the text makes no sense.
// `awake_us` is CLOCK_MONOTONIC when it was read.
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  std::optional<type> parse_##name(std::string_view text, uint64_t awake_us);
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE

}  // namespace vprocfs
