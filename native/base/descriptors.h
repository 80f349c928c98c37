#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/fd.h"

namespace vprocfs {

/// Descriptors that one message has at most.
inline constexpr size_t kMostPassed = 32;

/// Sends `bytes` of `data` in one message, with duplicates of `count` (0 to kMostPassed)
/// descriptors. `flags` as of sendmsg(2), and MSG_NOSIGNAL in any case. Returns what that returns;
/// allocates nothing.
ssize_t send_with(int socket, const void* data, size_t bytes, const int* fds, size_t count,
                  int flags);

/// The descriptors that came with a message.
struct Passed {
  std::array<Fd, kMostPassed> fds;
  size_t count = 0;
  bool cut = false;  ///< not all of the message, or of its descriptors, had room
};

/// Receives one message into what may hold an earlier one's, and at most `most` (1 to kMostPassed)
/// descriptors, which are close-on-exec. `flags` as of recvmsg(2). Returns what that returns;
/// allocates nothing.
ssize_t receive_with(int socket, void* data, size_t bytes, Passed& out, size_t most, int flags);

/// How many descriptors this process may have (RLIMIT_NOFILE). Never fails.
uint64_t descriptor_limit();

/// The same, raised as far as it goes.
uint64_t raise_descriptor_limit();

/// The first descriptor that is not to be kept for containers: a quarter of what this process may
/// have open is for all else, and the kernel gives the lowest that is free. Never fails.
int first_reserved_descriptor();

}  // namespace vprocfs
