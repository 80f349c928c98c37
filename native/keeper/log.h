#pragma once

namespace vprocfs {

/// One line on stderr, in one write(2); JSON when `json`. No allocation.
[[gnu::format(printf, 3, 4)]] void keeper_log(bool json, const char* level, const char* format,
                                              ...);

}  // namespace vprocfs
