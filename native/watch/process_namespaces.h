#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace vprocfs {

// What procfs tells of the namespaces that a process lives in.

/// The number of its namespace of a kind ("mnt", "pid"). `process`: its PID, or "self". 0: it has
/// ended.
uint64_t namespace_of(const std::string& process, const char* which);

/// Whether it is the init of its PID namespace: what is mounted on /proc is its own then.
bool is_init(pid_t pid);

/// Who is to be asked about mount namespace `key`, in which `pid` lives: the init of its PID
/// namespace where that lives in the same one, since it outlives the others (Linux 6.11), else it.
pid_t representative(pid_t pid, uint64_t key);

}  // namespace vprocfs
