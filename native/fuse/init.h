#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>

#include "state/state_file.h"

namespace vprocfs {

/// How to answer INIT.
enum class InitAnswer {
  kAgreed,     ///< send `out`: the connection is up
  kDowngrade,  ///< send `out`: the kernel is of a newer major version and asks again in ours
  kRefused,    ///< answer EPROTO: a kernel too old, or no INIT at all
};

/// Features requested by the owner of the connection.
struct InitRequest {
  /// Files come out of the page cache, which takes a kernel that can do without OPEN and notices
  /// changes by attributes; ConnectionState::tick tells whether it can.
  bool tick = false;
  /// See kernel_limits_requests(): as much time as the kernel gives. Where there is no limit, to
  /// ask for one would bring one.
  bool longest_requests = false;
};

/// Decides the features of a connection. `payload` is the INIT request without its header. Used by
/// the owner of the connection: the keeper, or a worker that mounts by itself. `negotiated` is set
/// with kAgreed only.
InitAnswer negotiate(const uint8_t* payload, size_t size, InitRequest request, fuse_init_out& out,
                     ConnectionState& negotiated);

/// Whether this host aborts connections that ask for no limit of their own when a request is not
/// answered in time (fs.fuse.default_request_timeout, Linux 6.15). Readers of kernel logs wait for
/// longer. No allocation.
bool kernel_limits_requests();

}  // namespace vprocfs
