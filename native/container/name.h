#pragma once

#include <string>

namespace vprocfs {

/// What an operator calls a container.
struct ContainerName {
  std::string name;
  /// lxc, docker, podman, crio, containerd, kubernetes (a pod's, made by containerd or Docker),
  /// systemd-nspawn, runc, crun, or "".
  std::string runtime;
};

/// Derives the name from the path of a container's cgroup, by the naming rules of the runtimes for
/// any cgroup driver. If no rule matches, it is the last component of the path. `tenant` is the
/// path of the outermost container around it, `cgroup` itself where it is in none. What is below
/// another container's cgroup bears that one's name too ("web1/inner"), so that nobody can take a
/// name by making a cgroup within its own. No component of a name holds a slash.
ContainerName container_name(const std::string& cgroup, const std::string& tenant);

/// The cgroup that a runtime made for the container whose cgroup is `cgroup`, and on which it sets
/// limits: the one above if the runtime has put the container into an inner one of that
/// ("libpod-….scope/container", Proxmox's "lxc/100/ns"), otherwise `cgroup` itself.
std::string limited_cgroup(const std::string& cgroup);

}  // namespace vprocfs
