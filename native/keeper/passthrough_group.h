#pragma once

#include <sys/types.h>

namespace vprocfs {

/// Moves a process, or this one (0), out of the cgroup of its service, into `/vprocfs-rest` of the
/// hierarchies that service managers keep services in (cgroup2, and v1's name=systemd), which is
/// made where it is missing: a manager that kills what is left of a service treats every process in
/// the service's cgroup as part of it. Where that is not permitted, it stays.
void enter_passthrough_group(pid_t pid = 0);

/// To the root, and takes the group away unless another one is in it.
void leave_passthrough_group();

/// Takes the group away unless a process is in it. False: one is.
bool remove_passthrough_group();

}  // namespace vprocfs
