#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace vprocfs {

// What /proc tells of a process. Allocates nothing.

/// A thread of a process other than its first one and `but`; 0 if it has none.
pid_t other_thread(pid_t pid, pid_t but);

/// Sets the nice value of each thread of a process, and of nothing that it has started.
void nice_threads(pid_t pid, int nice);

/// How long a process's first thread has been ready to run while others had its CPU, in ms. 0 where
/// the kernel does not count that (CONFIG_SCHED_INFO).
uint64_t starved_ms(pid_t pid);

/// The wait status of a process that a signal ends and that has left user space, before wait(2)
/// returns it: the kernel may need tenths of a second to release what such a process held (perf
/// events, BPF programs, inotify). nullopt for all others. Call it after a descriptor that only
/// that process held was closed: then none of its threads is left in user space either.
std::optional<int> ending(pid_t pid);

/// The same without such a descriptor, and some milliseconds earlier, before the kernel takes the
/// process's memory apart: once each of its threads is past its last system call. Linux 5.8 and
/// later; always nullopt where the OOM score adjustment is below 0.
std::optional<int> ending_by_threads(pid_t pid);

}  // namespace vprocfs
