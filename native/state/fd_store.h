#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// What a descriptor in the store is. Numbers never change: keeper and workers may be of different
/// versions. A number that is not here is of a later version.
enum class FdKind : uint32_t {
  kNone = 0,
  kLxcSocket = 1,     ///< listens for connections of LXC's monitors
  kOciSocket = 2,     ///< listens for OCI runtimes with a notify descriptor
  kMonitor = 3,       ///< a connection of LXC's seccomp proxy protocol
  kListener = 4,      ///< a seccomp notify descriptor
  kPendingCalls = 5,  ///< memory of PendingCalls
  kRuntime = 6,       ///< a connection of an OCI runtime, whose listener has not come yet
  /// A notify descriptor of LXC, whose calls the monitor takes. The calls that the monitor was
  /// released from are answered through it.
  kSideListener = 7,
  kDrainingRuntime = 8,  ///< a runtime's connection, after its listener has come, until it ends
  kMetricsSocket = 9,    ///< listens for those who ask for metrics
};

/// Whether it listens for connections of runtimes or monitors.
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

/// That process begins and ends with one of these numbers, in a packet without descriptors. A
/// worker says that it will send a receipt as soon as it has seen the first (one byte, and nobody
/// but it may go on with what comes), and sends it (another byte) when the keeper has everything.
/// Workers of earlier versions ignore both, and processes of earlier versions send neither.
inline constexpr uint32_t kReceiptWanted = 0xffff'0001, kAllPassed = 0xffff'0002;

/// A file beside that process's socket. A process that waits for the descriptors has a shared lock
/// (flock(2)) on it.
inline constexpr char kAwaitedName[] = "awaited";

/// Names a descriptor in the store.
struct FdTag {
  uint64_t key = 0;  ///< unique among the descriptors of a mount
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
  /// Stores a duplicate. False: it is known that it could not be stored.
  virtual bool put(FdTag tag, int fd) = 0;
  virtual void remove(uint64_t key) = 0;
  /// Duplicates of all that is stored. Error: there may be more that did not arrive.
  virtual Result<std::vector<Entry>> all() = 0;
};

}  // namespace vprocfs
