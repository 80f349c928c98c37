#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace vprocfs {

/// How many mount points below /proc and /sys a process has from a file system of this type and
/// source, by its mountinfo. Nothing where that cannot be read.
std::optional<size_t> mounted_files(int procfs_fd, int pid, std::string_view type,
                                    std::string_view source);

/// The same from the text of a mountinfo.
size_t count_mounted(std::string_view mountinfo, std::string_view type, std::string_view source);

}  // namespace vprocfs
