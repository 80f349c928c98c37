#pragma once

#include <sys/types.h>

#include <optional>

namespace vprocfs {

/// The wait status of a process that a signal ends and that has left user space, before wait(2)
/// returns it: the kernel may need tenths of a second to release what such a process held (perf
/// events, BPF programs, inotify). nullopt for all others. Call it after a descriptor that only
/// that process held was closed: then none of its threads is left in user space either.
std::optional<int> ending(pid_t pid);

}  // namespace vprocfs
