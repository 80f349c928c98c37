#pragma once

#include "facts/cpu.h"
#include "facts/host.h"

namespace vprocfs {

/// The CPUs that a container is shown, one answer for all files.
///
/// n = min(|effective cpuset|, ceil(quota / period)), at least 1; the ids are the first n of the
/// effective cpuset within the host's online CPUs. An empty or absent cpuset, or one that has no
/// online CPU, stands for all online CPUs. A quota above the cpuset's size is no limit.
CpuSet shown_cpus(const CpuLimitFacts& limits, const HostCpus& host);

/// The CPUs beside `shown` (the answer of shown_cpus) whose directories in sysfs stay, as those of
/// CPUs that are offline.
///
/// glibc before 2.36 takes the number of directories for the number of possible CPUs. Programs size
/// tables by it and index them by ids (HotSpot with NUMA, libnuma), so that it must not be below
/// the highest id that is shown. And programs that find only one leave out synchronization between
/// CPUs (Java 8 its lock prefixes), so that a container which is shown one CPU but may run on more
/// has at least two directories.
CpuSet bare_cpus(const CpuLimitFacts& limits, const HostCpus& host, const CpuSet& shown);

}  // namespace vprocfs
