#pragma once

#include <sys/types.h>

#include <cstdint>

namespace vprocfs {

/// How long a process's first thread has been ready to run while others had its CPU, in ms. 0 where
/// the kernel does not count that (CONFIG_SCHED_INFO).
uint64_t starved_ms(pid_t pid);

}  // namespace vprocfs
