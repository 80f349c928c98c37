#pragma once

#include <cstdint>

#include "fuse/protocol.h"

namespace vprocfs {

/// Who waits for the answer to a request, and what is asked of which node.
struct Caller {
  static Caller of(const fuse_in_header& header, bool interrupted = false) {
    return {header.unique & ~kFuseUniqueResend, header.pid, header.nodeid, header.opcode,
            interrupted};
  }

  uint64_t request = 0;  ///< Request::identity()
  uint32_t pid = 0;
  uint64_t node = 0;
  uint32_t opcode = 0;
  bool interrupted = false;  ///< a check whether it was killed is under way
};

}  // namespace vprocfs
