#include "source/tasks/exited_tasks.h"

#include <linux/bpf.h>

#include <cerrno>
#include <utility>

#include "bpf/exits.skel.h"
#include "bpf/program.h"
#include "source/tasks/kernel_types.h"

namespace vprocfs {
namespace {

// About a megabyte of the kernel's memory.
constexpr uint32_t kMaxTasks = 4096;

Result<ExitLayout> exit_layout(const KernelTypes& types) {
  ExitLayout out{};
  RequiredFields field(types);
  out.task_pid = field("task_struct", "thread_pid");
  out.task_flags = field("task_struct", "flags");
  const auto start = types.offset("task_struct", "start_boottime");
  // Before 5.5 it has another name.
  out.task_start = start ? *start : field("task_struct", "real_start_time");
  out.pid = pid_layout(field);
  if (field.missing()) return *field.missing();
  return out;
}

}  // namespace

Result<std::unique_ptr<ExitedTasks>> ExitedTasks::open(int sysfs_fd) {
  const auto types = KernelTypes::read(sysfs_fd);
  if (!types) return types.error();
  const auto layout = exit_layout(types.value());
  if (!layout) return layout.error();
  const auto constants = make_bpf_constants(&layout.value(), sizeof(ExitLayout));
  if (!constants) return constants.error();
  auto out = std::make_unique<ExitedTasks>();
  auto map =
      make_bpf_map(BPF_MAP_TYPE_LRU_HASH, sizeof(uint32_t), sizeof(ExitedTask), kMaxTasks, 0);
  if (!map) return map.error();
  out->map_ = std::move(map.value());
  BpfProgram program(kExitsInstructions, kExitsReferences);
  program.set_constants(constants.value().get());
  program.set_map("tasks", out->map_.get());
  auto loaded = program.load("vprocfs_exit", BPF_PROG_TYPE_RAW_TRACEPOINT);
  if (!loaded) return loaded.error();
  out->program_ = std::move(loaded.value());
  bpf_attr attach{};
  attach.raw_tracepoint.name = reinterpret_cast<uint64_t>("sched_process_exit");
  attach.raw_tracepoint.prog_fd = static_cast<uint32_t>(out->program_.get());
  out->link_ = Fd(bpf(BPF_RAW_TRACEPOINT_OPEN, attach));
  if (!out->link_) return Error{errno, "bpf tracepoint"};
  return out;
}

std::optional<ExitedTask> ExitedTasks::find(pid_t pid) const {
  ExitedTask out{};
  const auto key = static_cast<uint32_t>(pid);
  bpf_attr look{};
  look.map_fd = static_cast<uint32_t>(map_.get());
  look.key = reinterpret_cast<uint64_t>(&key);
  look.value = reinterpret_cast<uint64_t>(&out);
  if (bpf(BPF_MAP_LOOKUP_ELEM, look) != 0) return std::nullopt;
  return out;
}

}  // namespace vprocfs
