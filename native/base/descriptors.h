#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/fd.h"

namespace vprocfs {

/// Descriptors that one message has at most.
inline constexpr size_t kMaxPassedFds = 32;

/// Sends `bytes` of `data` in one message, with duplicates of `count` (0 to kMaxPassedFds)
/// descriptors. `flags` as of sendmsg(2), and MSG_NOSIGNAL in any case. Returns what that returns;
/// allocates nothing.
ssize_t send_with(int socket, const void* data, size_t bytes, const int* fds, size_t count,
                  int flags);

/// The descriptors that came with a message.
struct PassedFds {
  std::array<Fd, kMaxPassedFds> fds;
  size_t count = 0;
  bool cut = false;  ///< not all of the message, or of its descriptors, had room
};

/// Receives one message and at most `max_fds` (1 to kMaxPassedFds) descriptors, which are
/// close-on-exec. `out` may still hold those of an earlier message. `flags` as of recvmsg(2).
/// Returns what that returns; allocates nothing.
ssize_t receive_with(int socket, void* data, size_t bytes, PassedFds& out, size_t max_fds,
                     int flags);

/// How many descriptors this process may have (RLIMIT_NOFILE). Never fails.
uint64_t descriptor_limit();

/// The same, raised as far as it goes.
uint64_t raise_descriptor_limit();

/// The first descriptor number that is not to be stored for containers. A quarter of the
/// descriptors that this process may have is reserved for everything else, and the kernel always
/// assigns the lowest free number. Never fails.
int first_reserved_descriptor();

/// Closes all descriptors from `first` on; allocates nothing.
void close_from(int first);

}  // namespace vprocfs
