#pragma once

// What the program that notes tasks at their end (exits.bpf.c) and its user share.

#include <stdint.h>

#include "bpf/pid_layout.h"

#ifdef __cplusplus
namespace vprocfs {
#endif

enum { kExitLevels = 6 }; /* PID namespaces that are kept of one, the host's first */

/// A task that has ended, as it was at that moment.
struct ExitedTask {
  uint64_t start_ns;                /* CLOCK_BOOTTIME */
  uint64_t end_ns;                  /* CLOCK_MONOTONIC */
  uint32_t level;                   /* of its own PID namespace; the host's is 0 */
  uint32_t numbers[kExitLevels];    /* its PID in each */
  uint32_t namespaces[kExitLevels]; /* their inode numbers */
  uint32_t flags;                   /* see kSignaled */
};

/// Where the program finds what it needs in the kernel's structures, in bytes.
struct ExitLayout {
  uint32_t task_pid, task_start, task_flags;
  struct PidLayout pid;
};

#ifdef __cplusplus
}  // namespace vprocfs
#endif
