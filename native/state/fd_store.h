#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// Kinds of descriptors that mean something to others than who put them there. Numbers are for
/// ever: keeper and workers may be of different versions.
inline constexpr uint32_t kFdLxcSocket = 1;     ///< listens for connections of LXC's monitors
inline constexpr uint32_t kFdOciSocket = 2;     ///< listens for OCI runtimes with a descriptor
inline constexpr uint32_t kFdMonitor = 3;       ///< a connection of LXC's seccomp proxy protocol
inline constexpr uint32_t kFdNotify = 4;        ///< a seccomp notify descriptor
inline constexpr uint32_t kFdPendingCalls = 5;  ///< memory of PendingCalls
inline constexpr uint32_t kFdRuntime = 6;  ///< a connection of an OCI runtime, not taken from yet
/// One of LXC's, whose monitor takes its calls: through it those are answered that the monitor was
/// released from.
inline constexpr uint32_t kFdSideListener = 7;

/// A runtime's connection after its listener has come, until the runtime has sent all.
inline constexpr uint32_t kFdDrainingRuntime = 8;

/// How many descriptors a packet of the process that a keeper leaves (keeper/call_passthrough.h)
/// brings at most.
inline constexpr size_t kPassthroughFds = 16;

/// What a descriptor in the store is.
struct FdTag {
  uint64_t key = 0;   ///< another one for each descriptor of a mount
  uint32_t kind = 0;  ///< 0: none; for whoever put it there
};

/// A place for descriptors that outlives a worker. Thread-safe.
class FdStore {
 public:
  struct Entry {
    FdTag tag;
    Fd fd;
  };

  virtual ~FdStore() = default;
  /// Puts a duplicate there. False when it is known that it could not be.
  virtual bool put(FdTag tag, int fd) = 0;
  virtual void remove(uint64_t key) = 0;
  /// Duplicates of all that is there. An error when there may be more than could be had.
  virtual Result<std::vector<Entry>> all() = 0;
};

}  // namespace vprocfs
