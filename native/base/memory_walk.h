#pragma once

#include <sched.h>
#include <sys/types.h>

#include <cerrno>
#include <optional>

#include "base/act_as.h"
#include "base/fd.h"

namespace vprocfs {

/// Opens a path that is resolved in the kernel's memory: `open` asks for that (kResolveCached).
/// From the second attempt on as `owner` of the root, for whom the kernel reads no access control
/// list. Empty with errno set; EAGAIN: that is not possible.
template <typename Open>
Fd walk_in_memory(uid_t owner, int attempts, Open open) {
  Fd fd;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    std::optional<ActAs> as_owner;
    if (attempt > 0 && owner != 0) as_owner.emplace(owner);
    fd = open();
    if (fd || errno != EAGAIN) break;
    // A mount or a rename anywhere on the machine may have interrupted the walk.
    if (attempt > 1) ::sched_yield();
  }
  // Linux before 5.12 has no such walk.
  if (!fd && (errno == EINVAL || errno == ENOSYS)) errno = EAGAIN;
  return fd;
}

}  // namespace vprocfs
