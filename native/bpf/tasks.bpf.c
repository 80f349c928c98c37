// Counts the tasks of many cgroups in one pass: the kernel runs this for each task (a task
// iterator, Linux 5.8). It never refuses a task: what cannot be read reads as 0, which is in no
// map.

#include "bpf/tasks.h"

#include "bpf/bpf.h"

// What the kernel calls states (include/linux/sched.h); none of them is in any header for us.
#define TASK_UNINTERRUPTIBLE 0x2
#define TASK_NOLOAD 0x400
#define TASK_FROZEN 0x8000    // since 6.1
#define PF_FROZEN 0x00010000  // before 6.1; now kcompactd's alone

/// What the kernel gives an iterator (struct bpf_iter__task).
struct Iterated {
  const void* meta;
  const char* task;  ///< after the last one: NULL
};

enum Class { kOther, kRunning, kBlocked };

const volatile struct TaskLayout layout SECTION(".rodata");
struct Map ids SECTION("maps");    ///< slot by hierarchy and id of a cgroup
struct Map slots SECTION("maps");  ///< TaskSlot by number
struct Map memo SECTION("maps");   ///< one TaskMemo

/// What fs/proc/loadavg.c would count the task as (kernel/sched/loadavg.c). The task is read
/// without a helper, which the kernel allows an iterator.
INLINE enum Class class_of(const char* task) {
  const char* at = task + layout.task_state;
  const uint64_t state = layout.state_is_long ? *(const uint64_t*)at : *(const uint32_t*)at;
  if (state == 0) return kRunning;
  if ((state & TASK_UNINTERRUPTIBLE) == 0) return kOther;
  if ((state & (TASK_NOLOAD | TASK_FROZEN)) != 0) return kOther;
  const uint32_t flags = *(const uint32_t*)(task + layout.task_flags);
  return (flags & PF_FROZEN) != 0 ? kOther : kBlocked;
}

INLINE const void* cgroup_of(const void* set, const volatile struct TaskPlace* place) {
  if (place->is_v2) return read_pointer(set, layout.set_v2);
  return read_pointer(read_pointer(set, place->subsystem), layout.subsystem_cgroup);
}

/// The id of a cgroup's ancestor, or of itself, at a depth that it has.
INLINE uint64_t ancestor_id(const void* cgroup, uint32_t depth) {
  const uint32_t at = layout.cgroup_ancestors + 8 * depth;
  if (layout.ancestors_are_ids) return read64(cgroup, at);
  return read64(read_pointer(read_pointer(cgroup, at), layout.cgroup_node), layout.node_id);
}

INLINE void find_slots(struct TaskMemo* of, const void* set) {
  const void* cgroup = NULL;
  uint32_t level = 0;
  for (uint32_t i = 0; i < kMaxTaskPlaces && i < layout.place_count; ++i) {
    const volatile struct TaskPlace* place = &layout.places[i];
    if (place->is_first) {
      cgroup = cgroup_of(set, place);
      level = read32(cgroup, layout.cgroup_level);
    }
    of->slots[i] = 0;
    if (level < place->depth) continue;
    const uint64_t key = ancestor_id(cgroup, place->depth) | (uint64_t)place->hierarchy
                                                                 << kHierarchyShift;
    const uint32_t* slot = map_lookup(&ids, &key);
    if (slot != NULL) of->slots[i] = *slot + 1;
  }
}

/// As fs/proc/loadavg.c: one before the next PID that the task's namespace gives. 0: the namespace
/// is another.
INLINE uint32_t last_pid(const void* task, uint32_t wanted) {
  const char* pid = read_pointer(task, layout.task_pid);
  const uint32_t level = read32(pid, layout.pid.level);
  const char* number = pid + layout.pid.numbers + (uint64_t)level * layout.pid.number_size;
  const void* space = read_pointer(number, layout.pid.number_namespace);
  if (read32(space, layout.pid.namespace_inum) != wanted) return 0;
  const uint32_t next = read32(space, layout.namespace_next);
  return next == 0 ? 0 : next - 1;
}

SECTION("program") int count_task(struct Iterated* iterated) {
  const char* task = iterated->task;
  if (task == NULL) return 0;
  const enum Class class = class_of(task);
  const uint32_t zero = 0;
  struct TaskMemo* known = map_lookup(&memo, &zero);
  if (known == NULL) return 0;
  const void* set = read_pointer(task, layout.task_cgroups);
  if (known->set != (uint64_t)set) {
    known->set = (uint64_t)set;
    find_slots(known, set);
  }
  for (uint32_t i = 0; i < kMaxTaskPlaces && i < layout.place_count; ++i) {
    if (known->slots[i] == 0) continue;
    const uint32_t number = known->slots[i] - 1;
    struct TaskSlot* slot = map_lookup(&slots, &number);
    if (slot == NULL) continue;
    ++slot->total;
    if (class == kRunning) ++slot->running;
    if (class == kBlocked) ++slot->blocked;
    if (slot->last_pid == 0) slot->last_pid = last_pid(task, slot->pid_namespace);
  }
  return 0;
}
