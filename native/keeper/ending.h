#pragma once

#include <sys/types.h>

#include <optional>

namespace vprocfs {

/// The wait status of a process that a signal ends and that has left user space, of which wait(2)
/// does not tell yet: the kernel may need tenths of a second to take apart what such a process held
/// (perf events, BPF programs, inotify). nullopt of all others. For whoever has just seen the end
/// of a descriptor that only that process held: then none of its threads is left in user space
/// either.
std::optional<int> ending(pid_t pid);

}  // namespace vprocfs
