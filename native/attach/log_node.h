#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"

namespace vprocfs {

/// Where a container finds its kernel log beside /proc/kmsg. It need not be there: runtimes other
/// than LXC make none.
inline constexpr std::string_view kLogNode = "dev/kmsg";
/// Whether a path leads there from some root.
bool is_log_node(std::string_view path);

/// What stands at such a place, as far as that is not a mount.
enum class LogNode {
  kKernel,  ///< the kernel's own, or an empty file that was made to be mounted on
  kLink,    ///< a symlink, as some runtimes lead it to a console
  kOther,
};
LogNode look_at_log_node(const Fd& leaf);

/// Whether files can be made on the mount that a directory is on.
bool is_writable(const Fd& directory);

/// Makes an empty file to be mounted on, as the owner of its directory: it need not be one that
/// root is known to. 0, or an errno value.
int make_log_place(const Fd& directory, const std::string& name);

/// Takes away what make_log_place() has made. Anything else stays.
void remove_log_place(const Fd& directory, const std::string& name);

}  // namespace vprocfs
