#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace vprocfs_bench {

/// The first process of a container, as its parent sees it.
struct Init {
  pid_t pid = -1;
  int socket = -1;  ///< requests to it; closing it ends the container
};

/// Starts a container in existing cgroups: namespaces of its own (mount, PID, cgroup, UTS, IPC)
/// with a fresh /proc. On failure `error` tells why and the pid is -1.
Init start_container(const std::vector<std::string>& cgroups, std::string& error);

/// Binds from inside the container, as a hook does; empty when done, else what failed.
std::string bind_inside(const Init& init, const std::string& source, const std::string& target);

/// The first line of a file as processes of the container see it; on failure `error` tells why.
std::string first_line_inside(const Init& init, const std::string& path, std::string& error);

/// Ends the container and waits until no process of it is left.
void stop_container(Init& init);

}  // namespace vprocfs_bench
