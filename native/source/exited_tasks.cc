#include "source/exited_tasks.h"

#include <linux/bpf.h>

#include <cerrno>
#include <utility>

#include "source/bpf_program.h"
#include "source/kernel_types.h"

namespace vprocfs {
namespace {

// About a megabyte of the kernel's memory.
constexpr uint32_t kMostTasks = 4096;

/// Where the program finds what it needs in the kernel's structures.
struct Layout {
  uint32_t task_pid = 0, task_start = 0, task_flags = 0;
  uint32_t number_value = 0;
  PidLayout pid;

  static Result<Layout> of(const KernelTypes& types);
};

Result<Layout> Layout::of(const KernelTypes& types) {
  Layout out;
  RequiredFields field(types);
  out.task_pid = field("task_struct", "thread_pid");
  out.task_flags = field("task_struct", "flags");
  const auto start = types.offset("task_struct", "start_boottime");
  // Before 5.5 it has another name.
  out.task_start = start ? *start : field("task_struct", "real_start_time");
  out.pid = PidLayout::of(field);
  out.number_value = field("upid", "nr");
  if (field.missing()) return *field.missing();
  return out;
}

/// Writes the program: the task that ends into the map, unless it is the host's.
class ProgramWriter {
 public:
  ProgramWriter(const Layout& layout, int map_fd) : layout_(layout), map_fd_(map_fd) {}

  BpfProgram write() {
    BpfProgram::Label end, whole;
    p_.load64(kTask, BPF_REG_1, 0);
    p_.set(BPF_REG_1, 0);
    for (int16_t at = kTaskAt; at < 0; at = static_cast<int16_t>(at + 8)) {
      p_.store64(BPF_REG_10, at, BPF_REG_1);
    }
    read(kPointerAt, 8, kTask, layout_.task_pid);
    p_.load64(kPid, BPF_REG_10, kPointerAt);
    read(field(offsetof(ExitedTask, level)), 4, kPid, layout_.pid.level);
    p_.load32(kLevel, BPF_REG_10, field(offsetof(ExitedTask, level)));
    p_.jump_if(BPF_JEQ, kLevel, 0, end);
    read(field(offsetof(ExitedTask, start_ns)), 8, kTask, layout_.task_start);
    read(field(offsetof(ExitedTask, flags)), 4, kTask, layout_.task_flags);
    for (size_t i = 0; i < ExitedTask::kLevels; ++i) {
      if (i > 1) p_.jump_if(BPF_JLT, kLevel, static_cast<int32_t>(i), whole);
      const auto at = static_cast<uint32_t>(layout_.pid.numbers + i * layout_.pid.number_size);
      read(field(offsetof(ExitedTask, numbers) + 4 * i), 4, kPid, at + layout_.number_value);
      read(kPointerAt, 8, kPid, at + layout_.pid.number_namespace);
      p_.load64(kNamespace, BPF_REG_10, kPointerAt);
      read(field(offsetof(ExitedTask, namespaces) + 4 * i), 4, kNamespace,
           layout_.pid.namespace_inum);
    }
    p_.bind(whole);
    p_.call(BPF_FUNC_ktime_get_ns);
    p_.store64(BPF_REG_10, field(offsetof(ExitedTask, end_ns)), BPF_REG_0);
    p_.load32(BPF_REG_1, BPF_REG_10, field(offsetof(ExitedTask, numbers)));
    p_.store32(BPF_REG_10, kKeyAt, BPF_REG_1);
    p_.set_map(BPF_REG_1, map_fd_);
    p_.move(BPF_REG_2, BPF_REG_10);
    p_.add(BPF_REG_2, kKeyAt);
    p_.move(BPF_REG_3, BPF_REG_10);
    p_.add(BPF_REG_3, kTaskAt);
    p_.set(BPF_REG_4, BPF_ANY);
    p_.call(BPF_FUNC_map_update_elem);
    p_.bind(end);
    p_.set(BPF_REG_0, 0);
    p_.exit();
    return std::move(p_);
  }

 private:
  static constexpr int kTask = BPF_REG_6, kPid = BPF_REG_7, kNamespace = BPF_REG_8,
                       kLevel = BPF_REG_9;
  // Places on the stack.
  static constexpr int16_t kKeyAt = -8, kPointerAt = -16,
                           kTaskAt = -16 - static_cast<int16_t>(sizeof(ExitedTask));

  static int16_t field(size_t offset) { return static_cast<int16_t>(kTaskAt + offset); }

  /// Copies `size` bytes of the kernel's memory at `base` + `offset` to the stack.
  void read(int16_t to, int32_t size, int base, uint32_t offset) {
    p_.move(BPF_REG_1, BPF_REG_10);
    p_.add(BPF_REG_1, to);
    p_.set(BPF_REG_2, size);
    p_.move(BPF_REG_3, base);
    p_.add(BPF_REG_3, static_cast<int32_t>(offset));
    p_.call(BPF_FUNC_probe_read_kernel);
  }

  const Layout& layout_;
  const int map_fd_;
  BpfProgram p_;
};

}  // namespace

Result<std::unique_ptr<ExitedTasks>> ExitedTasks::open(int sysfs_fd) {
  static_assert(sizeof(ExitedTask) == 72, "the program clears it by eights");
  const auto types = KernelTypes::read(sysfs_fd);
  if (!types) return types.error();
  const auto layout = Layout::of(types.value());
  if (!layout) return layout.error();
  auto out = std::make_unique<ExitedTasks>();
  auto map =
      make_bpf_map(BPF_MAP_TYPE_LRU_HASH, sizeof(uint32_t), sizeof(ExitedTask), kMostTasks, 0);
  if (!map) return map.error();
  out->map_ = std::move(map.value());
  const BpfProgram program = ProgramWriter(layout.value(), out->map_.get()).write();
  auto loaded = load_bpf_program("vprocfs_exit", program.code(), BPF_PROG_TYPE_RAW_TRACEPOINT);
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
  ExitedTask out;
  const auto key = static_cast<uint32_t>(pid);
  bpf_attr look{};
  look.map_fd = static_cast<uint32_t>(map_.get());
  look.key = reinterpret_cast<uint64_t>(&key);
  look.value = reinterpret_cast<uint64_t>(&out);
  if (bpf(BPF_MAP_LOOKUP_ELEM, look) != 0) return std::nullopt;
  return out;
}

}  // namespace vprocfs
