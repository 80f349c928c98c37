#pragma once

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// Something of a container's tree that stands for one thing of the kernel's.
struct TreeFile {
  std::string path;        ///< "proc/meminfo"
  bool directory = false;  ///< bound as a whole
  bool polled = false;     ///< it is the one that can be polled, of the second mount
  std::string source;      ///< where it is in its tree; empty: at `path`
};

/// What the tree of one container holds: every file below proc/, and of sys/ either single files or
/// whole directories. A directory is bound as a whole if it has a file "possible", as only the
/// kernel's complete directories (cpu, node) do. So new files need no change here. ENOENT: the
/// container is gone.
///
/// A link stands for a file that can be polled, at the same path in `polled_fd`, the container's
/// tree in the second mount. Without that tree (-1), the file beside the link is used instead.
/// Files that only the second tree has (kernel logs) come last.
Result<std::vector<TreeFile>> list_tree(int container_fd, int polled_fd);

}  // namespace vprocfs
