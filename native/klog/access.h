#pragma once

#include <sys/types.h>

#include <cstdint>

#include "container/resolve.h"

namespace vprocfs {

/// Who asks for a kernel log.
struct LogCaller {
  pid_t pid = 0;      ///< of the thread, as we see it
  uint64_t user = 0;  ///< as we see it
};

/// What a caller may do with a container's kernel log: what the kernel lets those do with its own
/// who are in the first user namespace, which the container's takes the place of. Whoever is in a
/// namespace within has no rights there. Reads the caller's files in a procfs at each question.
class LogAccess {
 public:
  /// Borrows the descriptor.
  explicit LogAccess(int procfs_fd) : procfs_fd_(procfs_fd) {}

  /// Whether it may use a file of root's that others may not.
  bool is_root(const LogCaller& caller, const ContainerDescription& container) const;
  /// Whether it may have what is read through syslog(2) and may be had by CAP_SYSLOG only.
  bool has_syslog(const LogCaller& caller, const ContainerDescription& container) const;
  /// Whether CAP_SYSLOG is asked for merely to look (sysctl kernel.dmesg_restrict of the host).
  /// True where that cannot be read.
  bool is_restricted() const;

 private:
  bool has_capability(const LogCaller& caller, const ContainerDescription& container,
                      uint64_t any_of) const;

  const int procfs_fd_;
};

}  // namespace vprocfs
