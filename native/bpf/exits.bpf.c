// Notes each task of a container at its end (tracepoint sched_process_exit). Tasks of the host cost
// one look each.

#include "bpf/exits.h"

#include "bpf/bpf.h"

/// What the kernel gives a raw tracepoint.
struct Arguments {
  uint64_t task;
};

const volatile struct ExitLayout layout SECTION(".rodata");
struct Map tasks SECTION("maps");  ///< ExitedTask by its PID as the host sees it

SECTION("program") int note_exit(struct Arguments* arguments) {
  const void* task = (const void*)arguments->task;
  const char* pid = read_pointer(task, layout.task_pid);
  struct ExitedTask noted = {0};
  noted.level = read32(pid, layout.pid.level);
  if (noted.level == 0) return 0;
  noted.start_ns = read64(task, layout.task_start);
  noted.flags = read32(task, layout.task_flags);
  for (uint32_t i = 0; i < kExitLevels && i <= noted.level; ++i) {
    const char* number = pid + layout.pid.numbers + (uint64_t)i * layout.pid.number_size;
    noted.numbers[i] = read32(number, layout.pid.number_value);
    const void* space = read_pointer(number, layout.pid.number_namespace);
    noted.namespaces[i] = read32(space, layout.pid.namespace_inum);
  }
  noted.end_ns = ktime_ns();
  map_update(&tasks, &noted.numbers[0], &noted, BPF_ANY);
  return 0;
}
