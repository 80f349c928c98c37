#pragma once

#include <cstddef>
#include <cstdint>

#include "base/fd.h"
#include "keeper/handover_memory.h"
#include "keeper/options.h"
#include "state/state_file.h"

namespace vprocfs {

/// How many connections a keeper may hold.
inline constexpr size_t kMaxConnections = 4;

/// What a keeper knows that the next one cannot find out: in memory of its own, which no worker can
/// write, handed on through the service manager's store. Fields are for ever; new ones go to the
/// end, where earlier versions left zeros.
struct MemoRecord {
  static constexpr uint32_t kVersion = 1;
  uint32_t version = 0;
  uint32_t generation = 0;
  uint32_t restarts = 0;
  uint32_t padding = 0;
  uint64_t born_ms = 0;  ///< CLOCK_MONOTONIC
  uint64_t resent = 0;
  uint64_t requests = 0;
  uint64_t mounted_as = 0;     ///< see mounted_as()
  char mountpoint[1024] = {};  ///< empty: too long
  struct {
    uint64_t device = 0;  ///< of the mounted file system
    /// What INIT negotiated; initialised 0: there is no such connection.
    ConnectionState negotiated;
  } connections[kMaxConnections];
  uint64_t started_in_ms = 0;  ///< how long the last worker took to get ready; 0: not known
  char polled[1024] = {};      ///< mount point of the second connection; empty: none, or too long
};

class Memo {
 public:
  /// `fd`: of an earlier keeper; empty: begin with nothing. False when there can be none, or when
  /// what is there is not ours to read: then it holds nothing.
  bool open(Fd fd);
  int fd() const { return memory_.fd(); }
  /// Always there; when open() failed, nobody will read it.
  MemoRecord& record() { return *record_; }

 private:
  HandoverMemory memory_;
  MemoRecord own_;
  MemoRecord* record_ = &own_;
};

/// A number for the properties of a mount that cannot be changed: if it differs, the mount must be
/// created again.
uint64_t mounted_as(const KeeperOptions& options);

}  // namespace vprocfs
