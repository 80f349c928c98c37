#pragma once

#include <memory>

#include "base/fd.h"
#include "fuse/reply.h"
#include "keeper/options.h"
#include "state/state_file.h"

namespace vprocfs {

/// The connection to the kernel that outlives all workers.
struct Connection {
  Fd fuse, state;
  std::unique_ptr<StateFile> file;

  bool resend() const;
  /// Hands back to the kernel's queue what a dead worker had taken, where the kernel can.
  void requeue() const;
  /// Answers one request with EIO if there is one: for when no worker has been there for too long.
  /// False when there was none.
  bool refuse_one() const;
};

/// Mounts, answers the kernel's INIT, and leaves the result in the state file. False after a line
/// on stderr.
bool connect(const KeeperOptions& options, Connection& out);

/// Takes over descriptors of an earlier self.
bool reconnect(const KeeperOptions& options, int fuse_fd, int state_fd, Connection& out);

}  // namespace vprocfs
