#pragma once

// What the program that counts tasks (tasks.bpf.c) and its user share.

#include <stdint.h>

#include "bpf/pid_layout.h"

#ifdef __cplusplus
namespace vprocfs {
#endif

enum { kMaxTaskPlaces = 32 };  /* depths of containers that one program knows */
enum { kHierarchyShift = 56 }; /* kernfs ids count up from 1 */

/// The figures of one cgroup.
struct TaskSlot {
  uint32_t running, blocked, total, last_pid;
  uint32_t pid_namespace; /* inode number of that whose last PID is wanted */
  uint32_t unused[3];
};

/// Which slots the tasks of a css_set count for. Tasks that follow each other are mostly of the
/// same one, so that its cgroups are looked up once for many.
struct TaskMemo {
  uint64_t set;                   /* address; 0: none yet */
  uint32_t slots[kMaxTaskPlaces]; /* by place, + 1; 0: none */
};

/// A depth of a hierarchy at which cgroups are looked for. Those of one hierarchy follow each
/// other, the least deep first.
struct TaskPlace {
  uint32_t depth;
  uint32_t hierarchy; /* the first part of a key of the map of ids */
  uint32_t is_first;  /* of its hierarchy */
  uint32_t is_v2;
  uint32_t subsystem; /* of v1: where a css_set has it */
};

/// Where the program finds what it needs in the kernel's structures, in bytes, and what it is to
/// look for. It takes them for constants.
struct TaskLayout {
  uint32_t task_state, task_flags, task_cgroups, task_pid;
  uint32_t state_is_long; /* before 5.14 */
  uint32_t set_v2, subsystem_cgroup;
  uint32_t cgroup_level, cgroup_ancestors, cgroup_node, node_id;
  uint32_t ancestors_are_ids; /* before 6.1 */
  struct PidLayout pid;
  uint32_t namespace_next;
  uint32_t place_count;
  struct TaskPlace places[kMaxTaskPlaces];
};

#ifdef __cplusplus
}  // namespace vprocfs
#endif
