#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// Events of one kind about processes of this host (the kernel's process connector, filtered in the
/// kernel). Needs CAP_NET_ADMIN, the initial PID, user and network namespaces, and
/// CONFIG_PROC_EVENTS.
class ProcessEvents {
 public:
  enum class Kind : uint8_t {
    kExec,      ///< a program is executed
    kCoredump,  ///< a signal that dumps core ends a process, whether a core is written or not
  };
  /// EOPNOTSUPP: the kernel has none, or has none for this process, or its memory was short. It
  /// does not say which, and that takes a moment.
  static Result<ProcessEvents> open(Kind kind);

  int fd() const { return socket_.get(); }

  struct Event {
    /// The process (kExec) or thread (kCoredump) that it is about; 0: none is waiting; -1: some
    /// were lost.
    pid_t pid = 0;
    uint64_t at_us = 0;  ///< when it happened, CLOCK_MONOTONIC
  };
  /// The next one, in the order in which they happened to a process.
  Event next() const;

 private:
  Fd socket_;
  Kind kind_ = Kind::kExec;
};

}  // namespace vprocfs
