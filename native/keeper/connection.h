#pragma once

#include <cstdint>

#include "base/fd.h"
#include "keeper/options.h"
#include "state/state_file.h"

namespace vprocfs {

/// The connection to the kernel that outlives all workers. The state file is only held: workers map
/// it, so that no fault in it is ours.
struct Connection {
  Fd fuse, state;
  /// A clone of `fuse` to refuse requests through: reading from it never blocks, whatever workers
  /// take from the same queue meanwhile.
  Fd refusal;
  ConnectionState agreed;  ///< what INIT negotiated
  uint64_t device = 0;     ///< of the mounted file system; 0: not known

  bool resend() const;
  /// Whether the file system was unmounted, by whomever.
  bool ended() const;
  /// Hands back to the kernel's queue what a dead worker had taken, where the kernel can.
  void requeue() const;
  /// Answers one request with EIO if there is one: for when no worker has been there for too long.
  /// False when there was none.
  bool refuse_one() const;
};

/// Mounts, answers the kernel's INIT, and leaves the result in the state file. False after a line
/// on stderr, with nothing left mounted.
bool connect(const KeeperOptions& options, Connection& out);

/// Unmounts unless something else has been mounted there meanwhile.
void disconnect(const KeeperOptions& options, const Connection& connection);

}  // namespace vprocfs
