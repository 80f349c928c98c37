#pragma once

#include <string>

namespace vprocfs {

/// Whether a mount of files that are polled ("major:minor") has outlived the first mount of its
/// vprocfs, which somebody has taken away: nobody serves it. No file system is asked for it.
bool is_orphan(const std::string& device);

}  // namespace vprocfs
