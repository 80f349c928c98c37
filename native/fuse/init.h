#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>

#include "state/state_file.h"

namespace vprocfs {

/// What becomes of the kernel's first request.
enum class InitAnswer {
  kAgreed,    ///< send `out`: the connection is up
  kAskAgain,  ///< send `out`: the kernel is of a newer major version and asks again in ours
  kRefused,   ///< answer EPROTO: a kernel too old, or no INIT at all
};

/// Decides the features of a connection. `payload` is the INIT request without its header. Used by
/// whoever owns the connection: the keeper, or a worker that mounts by itself. `tick`: files come
/// out of the page cache, which takes a kernel that can do without OPEN and notices changes by
/// attributes; agreed.tick tells whether it can.
InitAnswer negotiate(const uint8_t* payload, size_t size, bool tick, fuse_init_out& out,
                     ConnectionState& agreed);

}  // namespace vprocfs
