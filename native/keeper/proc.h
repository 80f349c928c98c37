#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace vprocfs {

// What /proc tells of a process. Allocates nothing.

/// How long a process's first thread has been ready to run while others had its CPU, in ms. 0 where
/// the kernel does not count that (CONFIG_SCHED_INFO).
uint64_t starved_ms(pid_t pid);

/// The wait status of a process that a signal ends and that has left user space, before wait(2)
/// returns it: the kernel may need tenths of a second to release what such a process held (perf
/// events, BPF programs, inotify), and some milliseconds its memory. nullopt for all others, and as
/// long as one of its threads may still make or finish a system call.
std::optional<int> ending(pid_t pid);

}  // namespace vprocfs
