#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace vprocfs_bench {

/// A container that this process can move into.
struct Container {
  pid_t pid = 0;                     ///< a process in it
  std::vector<std::string> cgroups;  ///< directories of its cgroups, one per hierarchy
};

/// Reads "PID[:CGROUP-DIRECTORY]...". False when it is not that.
bool parse_container(const std::string& text, Container& container);

/// Moves this process (it must have one thread) into the container's cgroups, then into its mount,
/// PID, cgroup and user namespaces. Only children are in the PID namespace. Returns what failed,
/// empty when nothing did.
std::string enter(const Container& container);

}  // namespace vprocfs_bench
