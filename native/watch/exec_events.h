#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// Tells of every program that is executed on this host (the kernel's process connector, filtered
/// in the kernel). Needs CAP_NET_ADMIN and the initial PID and network namespaces.
class ExecEvents {
 public:
  static Result<ExecEvents> open();

  int fd() const { return socket_.get(); }

  /// The next process that has executed a program; 0: none is waiting; -1: some were lost.
  pid_t next() const;

 private:
  Fd socket_;
};

}  // namespace vprocfs
