#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// A listening socket at `path`, for root only, of SOCK_STREAM or SOCK_SEQPACKET. A socket there
/// that nobody listens on is replaced; EADDRINUSE when somebody does.
Result<Fd> listen_at(const std::string& path, int type);

/// A connection to the socket at `path`; an invalid Fd when nobody listens there.
Fd connect_to(const std::string& path, int type);

/// Where a socket is bound; empty when that cannot be told.
std::string bound_path(int fd);

/// The next connection of a process of root; an invalid Fd when there is none.
Fd accept_root(int listener);

/// What one recvmsg(2) brings.
struct Received {
  enum class State { kNothing, kSome, kEnd } state = State::kEnd;
  bool cut = false;  ///< not all of it had room
  size_t bytes = 0;
  std::vector<Fd> fds;
};

/// Never blocks. With `peek` it stays in the socket; its descriptors are duplicates then.
Received receive(int socket, void* buffer, size_t bytes, bool peek);

}  // namespace vprocfs
