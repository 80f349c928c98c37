#pragma once

#include <sys/types.h>

#include <cstdint>

#include "container/resolve.h"

namespace vprocfs {

/// Who asks for a kernel log.
struct LogCaller {
  pid_t pid = 0;      ///< of the thread, in our PID namespace
  uint64_t user = 0;  ///< in our user namespace
};

/// What a caller may do with a container's kernel log. The rules are the kernel's for its own log,
/// with the container's user namespace in the place of the initial one: a caller in a user
/// namespace within it has no rights. Reads the caller's files in a procfs at each call.
class LogAccess {
 public:
  /// Borrows the descriptor.
  explicit LogAccess(int procfs_fd) : procfs_fd_(procfs_fd) {}

  /// Whether it may open a file that only root may open.
  bool is_root(const LogCaller& caller, const ContainerDescription& container) const;
  /// Whether it has CAP_SYSLOG, for actions of syslog(2) that need it.
  bool has_syslog(const LogCaller& caller, const ContainerDescription& container) const;
  /// Whether even reading needs CAP_SYSLOG (sysctl kernel.dmesg_restrict of the host). True if that
  /// cannot be read.
  bool is_restricted() const;

 private:
  bool has_capability(const LogCaller& caller, const ContainerDescription& container,
                      uint64_t any_of) const;

  const int procfs_fd_;
};

}  // namespace vprocfs
