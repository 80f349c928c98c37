#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

#include "base/fd.h"

namespace vprocfs {

/// Wakes a thread or process that waits for a descriptor to be readable (eventfd(2)).
class Wake {
 public:
  /// Not open: nobody can be woken.
  Wake() = default;
  /// Not open, with errno, on failure.
  static Wake open() {
    Wake out;
    out.fd_ = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return out;
  }

  explicit operator bool() const { return static_cast<bool>(fd_); }
  /// Readable from ring() to drain().
  int fd() const { return fd_.get(); }

  /// From any thread. False: it is not open, or was rung 2^64 times without a drain(): it is
  /// awake then.
  bool ring() const {
    const uint64_t one = 1;
    return ::write(fd_.get(), &one, sizeof one) > 0;
  }
  void drain() const {
    uint64_t times = 0;
    static_cast<void>(::read(fd_.get(), &times, sizeof times) < 0);
  }

 private:
  Fd fd_;
};

}  // namespace vprocfs
