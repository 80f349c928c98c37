#pragma once

#include <cstdint>

#include "base/fd.h"
#include "keeper/memo.h"
#include "keeper/options.h"
#include "keeper/store.h"
#include "state/state_file.h"

namespace vprocfs {

/// A connection to the kernel that outlives all workers. The state file is only held: workers map
/// it, so that no fault in it is ours.
struct Connection {
  static constexpr uint32_t kPlain = 0, kPolled = 1;

  uint32_t number = 0;  ///< below kMaxConnections; in the names of its descriptors in the store
  const char* mountpoint = nullptr;  ///< nullptr: there is to be none
  Fd fuse, state;
  /// A clone of `fuse` to refuse requests through: reading from it never blocks, whatever workers
  /// take from the same queue meanwhile.
  Fd refusal;
  ConnectionState negotiated;  ///< by INIT
  uint64_t device = 0;         ///< of the mounted file system; 0: not known

  /// The descriptors that outlive this keeper too.
  struct Held {
    StoreKind kind;
    Fd Connection::*fd;
  };
  static const Held kHeld[3];

  bool made() const { return static_cast<bool>(fuse); }
  bool resend() const;
  /// Whether the file system was unmounted, by whomever.
  bool ended() const;
  /// Hands back to the kernel's queue what a dead worker had taken, where the kernel can.
  void requeue() const;
  /// Answers one waiting request with EIO, a LOOKUP with ENOMEM, for when there has been no worker
  /// for too long. False if no request was waiting.
  bool refuse_one() const;
  /// The same for some that wait, and never so many that nothing else is done.
  void refuse_some() const;
};

/// Mounts, answers the kernel's INIT, and leaves the result in the state file. False after a line
/// on stderr, with nothing left mounted.
bool connect(const KeeperOptions& options, Connection& out);

/// What is served for whom: the connection of this number.
Connection connection_of(const KeeperOptions& options, uint32_t number);

/// Continues with the connection of an earlier keeper from the store. False if there is none, or
/// none that can be continued; in that case the rest of it has been unmounted.
bool adopt(const KeeperOptions& options, Store& store, Memo& memo, Connection& out);

/// Whether nothing is mounted at its mount point.
bool is_free(const Connection& connection);

/// Mounts that of files that are polled. False after a warning: then these files are polled on the
/// plain one. (polled.cc)
bool make_polled(const KeeperOptions& options, Connection& polled);

/// Puts a connection where the next keeper finds it, or takes it away from there.
void keep(const Connection& connection, const KeeperOptions& options, Memo& memo, Store& store);
void forget(const Connection& connection, Memo& memo, Store& store);

/// Unmounts unless something else has been mounted there meanwhile.
void disconnect(const KeeperOptions& options, const Connection& connection);

/// Ends it for all its readers, whatever process has it open still.
void abort_connection(const KeeperOptions& options, const Connection& connection);

}  // namespace vprocfs
