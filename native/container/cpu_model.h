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

}  // namespace vprocfs
