#pragma once

#include <cstdint>

#include "keeper/options.h"

namespace vprocfs {

/// Where a file system lies: where it was mounted, also where that is not known; there, but below
/// another mount; or not there any more.
enum class Lies : uint8_t { kThere, kCovered, kGone };

/// How the file system of this device lies at `place`, which is canonical. Reads the mount table
/// only: whatever is mounted there now, or above it, may never answer. `device` 0: not known.
Lies how_it_lies(const char* place, uint64_t device);

/// Whether the topmost mount at `place` is of another type or source than ours. The device alone
/// does not tell: the number of a file system that has ended is free for the next one. Nobody who
/// serves the mount is asked. False when nothing is mounted there or the table cannot be read.
bool is_foreign(const KeeperOptions& options, const char* place);

/// Whether it is of our type and source. False when nothing is mounted there or the table cannot be
/// read.
bool is_ours(const KeeperOptions& options, const char* place);

}  // namespace vprocfs
