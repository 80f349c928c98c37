#pragma once

#include "keeper/options.h"

namespace vprocfs {

/// Whether the topmost mount at `place` is of another type or source than ours. The device alone
/// does not tell: the number of a file system that has ended is free for the next one. Nobody who
/// serves the mount is asked. False when nothing is mounted there or the table cannot be read.
bool is_foreign(const KeeperOptions& options, const char* place);

/// Whether it is of our type and source. False when nothing is mounted there or the table cannot be
/// read.
bool is_ours(const KeeperOptions& options, const char* place);

}  // namespace vprocfs
