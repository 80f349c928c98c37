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
/// whole directories. A directory counts as whole when it has a file "possible", which only a
/// complete one of the kernel's (cpu, node) has. So new files need no change here. ENOENT: the
/// container is gone.
///
/// Links lead to files of the same path that can be polled: they are those of `polled_fd`, the same
/// container's tree in the second mount. Without it (-1), what stands beside a link takes its
/// place. What only that one has, which is kernel logs, comes last.
Result<std::vector<TreeFile>> list_tree(int container_fd, int polled_fd);

}  // namespace vprocfs
