#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// What a descriptor in the store is. Numbers are for ever: keeper and workers may be of different
/// versions, and one that is not here is of a later one.
enum class FdKind : uint32_t {
  kNone = 0,
  kLxcSocket = 1,     ///< listens for connections of LXC's monitors
  kOciSocket = 2,     ///< listens for OCI runtimes with a notify descriptor
  kMonitor = 3,       ///< a connection of LXC's seccomp proxy protocol
  kListener = 4,      ///< a seccomp notify descriptor
  kPendingCalls = 5,  ///< memory of PendingCalls
  kRuntime = 6,       ///< a connection of an OCI runtime, whose listener has not come yet
  /// A listener of LXC's, whose monitor takes its calls: through it those are answered that the
  /// monitor was released from.
  kSideListener = 7,
  kDrainingRuntime = 8,  ///< a runtime's connection, after its listener has come, until it ends
};

/// Whether it listens for connections.
constexpr bool is_socket(FdKind kind) {
  return kind == FdKind::kLxcSocket || kind == FdKind::kOciSocket;
}

/// Whether it is a connection of an OCI runtime.
constexpr bool is_runtime(FdKind kind) {
  return kind == FdKind::kRuntime || kind == FdKind::kDrainingRuntime;
}

/// How many descriptors a packet of the process that a keeper leaves (keeper/call_passthrough.h)
/// brings at most.
inline constexpr size_t kPassthroughFds = 16;

/// A file beside that process's socket. Who waits for what it holds has a shared lock (flock(2)) on
/// it.
inline constexpr char kAwaitedName[] = "awaited";

/// Names a descriptor in the store.
struct FdTag {
  uint64_t key = 0;  ///< another one for each descriptor of a mount
  FdKind kind = FdKind::kNone;
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
