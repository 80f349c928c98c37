#pragma once

#include <cstdint>
#include <optional>

#include "facts/cpu.h"
#include "facts/host.h"

namespace vprocfs {

/// The CPUs that a container is shown, one answer for all files.
///
/// n = min(|effective cpuset|, ceil(quota / period)), at least 1; the ids are the first n of the
/// effective cpuset within the host's online CPUs. An empty or absent cpuset, or one that has no
/// online CPU, stands for all online CPUs. A quota above the cpuset's size is no limit.
CpuSet shown_cpus(const CpuLimitFacts& limits, const HostCpus& host);

/// The CPU beside `shown` (the answer of shown_cpus) whose directory in sysfs stays, as that of a
/// CPU that is offline; nothing where there is no need.
///
/// glibc before 2.36 takes the number of directories for the number of possible CPUs, and programs
/// that find only one leave out synchronization between CPUs (Java 8 its lock prefixes). So a
/// container that is shown one CPU but may run on more has two directories.
std::optional<uint32_t> bare_cpu(const CpuLimitFacts& limits, const HostCpus& host,
                                 const CpuSet& shown);

}  // namespace vprocfs
