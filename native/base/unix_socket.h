#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace vprocfs {

/// A socket of AF_UNIX, close-on-exec. Empty, and errno says why, when there is none.
Fd unix_socket(int type);

/// Where a Unix socket is bound. Allocates nothing.
class UnixAddress {
 public:
  /// That of a file; nullopt when the path is empty or too long.
  static std::optional<UnixAddress> at(std::string_view path);
  /// Likewise, but a name that begins with "@" is an abstract one (unix(7)).
  static std::optional<UnixAddress> named(std::string_view name);
  /// Where `socket` is bound; without a path when that cannot be told.
  static UnixAddress of(int socket);

  /// Empty for an abstract address.
  const char* path() const { return address_.sun_path; }

  /// connect(2). False: errno says why.
  bool connect(int socket) const;
  /// A socket that listens there, for root only, close-on-exec and not blocking. Empty, and errno
  /// says why, when there is none.
  Fd listen(int type, int backlog) const;

 private:
  sockaddr_un address_{};
  socklen_t size_ = 0;
};

/// A listening socket at `path`, for root only, of SOCK_STREAM or SOCK_SEQPACKET. A socket there
/// that nobody listens on is replaced; EADDRINUSE when somebody does.
Result<Fd> listen_at(const std::string& path, int type);

/// Unlinks the file that a socket is bound to.
void unlink_bound(int socket);

/// Whether the peer was root when it connected.
bool is_root_peer(int socket);

/// The next connection of a process of root, which does not block; an empty Fd when there is none.
Fd accept_root(int listener);

/// What one recvmsg(2) brings.
struct Received {
  enum class State { kNothing, kSome, kEnd } state = State::kEnd;
  bool cut = false;  ///< the message or its descriptors were cut off
  size_t bytes = 0;
  std::vector<Fd> fds;
};

/// The bytes of all packets that wait in a socket to be received.
size_t unread_bytes(int socket);

/// Never blocks. With `peek` it stays in the socket; its descriptors are duplicates then.
Received receive(int socket, void* buffer, size_t bytes, bool peek);

}  // namespace vprocfs
