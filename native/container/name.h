#pragma once

#include <string>

namespace vprocfs {

/// What an operator calls a container.
struct ContainerName {
  std::string name;
  std::string runtime;  ///< lxc, docker, podman, crio, containerd, systemd-nspawn, or ""
};

/// From the path of a container's cgroup, by the naming habits of the runtimes:
/// lxc.payload.NAME, lxc/NAME, docker-ID.scope, docker/ID, libpod-ID.scope, crio-ID.scope,
/// cri-containerd-ID.scope, machine-NAME.scope, else the last component.
ContainerName container_name(const std::string& cgroup_path);

}  // namespace vprocfs
