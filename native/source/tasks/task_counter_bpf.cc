#include <linux/bpf.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/mapping.h"
#include "bpf/program.h"
#include "bpf/tasks.h"
#include "bpf/tasks.skel.h"
#include "source/tasks/kernel_types.h"
#include "source/tasks/task_counter.h"

namespace vprocfs {
namespace {

constexpr uint32_t kMinSlots = 64;

/// What the kernel's types say, before it is known which cgroups are to be counted.
struct Kernel {
  uint32_t iterator = 0;  ///< type id of bpf_iter_task
  TaskLayout layout{};
  std::map<Controller, uint32_t> subsystems;  ///< where a css_set has those of v1

  static Result<Kernel> of(const KernelTypes& types);
};

Result<Kernel> Kernel::of(const KernelTypes& types) {
  Kernel out;
  TaskLayout& layout = out.layout;
  RequiredFields field(types);
  const auto iterator = types.function("bpf_iter_task");
  if (!iterator) return Error{ENOENT, "bpf_iter_task"};
  out.iterator = *iterator;
  const auto state = types.offset("task_struct", "__state");
  layout.state_is_long = !state;
  layout.task_state = state ? *state : field("task_struct", "state");
  layout.task_flags = field("task_struct", "flags");
  layout.task_cgroups = field("task_struct", "cgroups");
  layout.task_pid = field("task_struct", "thread_pid");
  layout.set_v2 = field("css_set", "dfl_cgrp");
  layout.subsystem_cgroup = field("cgroup_subsys_state", "cgroup");
  layout.cgroup_level = field("cgroup", "level");
  layout.cgroup_node = field("cgroup", "kn");
  layout.node_id = field("kernfs_node", "id");
  const auto ancestors = types.offset("cgroup", "ancestors");
  layout.ancestors_are_ids = !ancestors;
  layout.cgroup_ancestors = ancestors ? *ancestors : field("cgroup", "ancestor_ids");
  layout.pid = pid_layout(field);
  layout.namespace_next = field("pid_namespace", "idr") + field("idr", "idr_next");
  const uint32_t subsystems = field("css_set", "subsys");
  if (field.missing()) return *field.missing();
  constexpr std::pair<Controller, const char*> kSubsystems[] = {
      {Controller::kMemory, "memory_cgrp_id"},
      {Controller::kCpu, "cpu_cgrp_id"},
      {Controller::kPids, "pids_cgrp_id"}};
  for (const auto& [controller, name] : kSubsystems) {
    if (const auto id = types.enumerator("cgroup_subsys_id", name)) {
      out.subsystems[controller] = subsystems + *id * uint32_t{sizeof(void*)};
    }
  }
  return out;
}

uint32_t depth_of(const std::string& path) {
  uint32_t depth = 0;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '/' && (i == 0 || path[i - 1] == '/')) ++depth;
  }
  return depth;
}

/// Which hierarchy a cgroup is in, as the first part of a key.
uint64_t hierarchy_number(const std::optional<Controller>& v1) {
  return v1 ? 1 + static_cast<uint64_t>(*v1) : 0;
}

uint64_t key_of(const CountedCgroup& cgroup) {
  return hierarchy_number(cgroup.v1) << kHierarchyShift | cgroup.id;
}

/// The depths at which cgroups are looked for, by hierarchy.
using Places = std::map<std::optional<Controller>, std::set<uint32_t>>;

Result<Fd> attach_iterator(int program_fd) {
  bpf_attr a{};
  a.link_create.prog_fd = static_cast<uint32_t>(program_fd);
  a.link_create.attach_type = BPF_TRACE_ITER;
  Fd fd(bpf(BPF_LINK_CREATE, a));
  if (!fd) return Error{errno, "bpf iterator"};
  return fd;
}

class BpfTaskCounter : public TaskCounter {
 public:
  explicit BpfTaskCounter(Kernel kernel) : kernel_(std::move(kernel)) {}

  const char* name() const override { return "bpf"; }

  Result<std::vector<TaskCount>> count(const std::vector<CountedCgroup>& cgroups) override {
    if (cgroups != known_) {
      auto ready = prepare(cgroups);
      if (!ready) return ready.error();
    }
    auto* slots = slots_.as<TaskSlot>();
    for (size_t i = 0; i < cgroups.size(); ++i) {
      slots[i] = TaskSlot{0, 0, 0, 0, static_cast<uint32_t>(cgroups[i].pid_namespace), {}};
    }
    memo_.as<TaskMemo>()->set = 0;
    auto done = pass();
    if (!done) return done.error();
    std::vector<TaskCount> out;
    out.reserve(cgroups.size());
    for (size_t i = 0; i < cgroups.size(); ++i) {
      const TaskSlot& s = slots[i];
      out.push_back({s.running, s.blocked, s.total, s.last_pid});
    }
    return out;
  }

 private:
  Result<bool> prepare(const std::vector<CountedCgroup>& cgroups) {
    Places places;
    std::map<uint32_t, std::set<std::optional<Controller>>> by_depth;
    for (const auto& cgroup : cgroups) {
      if (cgroup.v1 && kernel_.subsystems.count(*cgroup.v1) == 0) return Error{ENOTSUP, "bpf"};
      by_depth[depth_of(cgroup.path)].insert(cgroup.v1);
    }
    // Whoever nests containers deeper than all others must not take the program from them: those
    // at the greatest depths are left out where there are too many different ones.
    size_t room = kMaxTaskPlaces;
    for (const auto& [depth, hierarchies] : by_depth) {
      for (const auto& v1 : hierarchies) {
        if (room == 0) break;
        places[v1].insert(depth);
        --room;
      }
    }
    known_.clear();
    if (cgroups.size() > slots_.size() / sizeof(TaskSlot) || places != places_) {
      auto built = build(places, cgroups.size());
      if (!built) return built;
    } else {
      forget_ids();
    }
    for (size_t i = 0; i < cgroups.size(); ++i) {
      auto put = put_id(key_of(cgroups[i]), static_cast<uint32_t>(i));
      if (!put) return put;
    }
    known_ = cgroups;
    return true;
  }

  Result<bool> build(const Places& places, size_t wanted) {
    uint32_t room = kMinSlots;
    while (room < wanted) room *= 2;
    auto ids = make_bpf_map(BPF_MAP_TYPE_HASH, sizeof(uint64_t), sizeof(uint32_t), room, 0);
    if (!ids) return ids.error();
    auto slots =
        make_bpf_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(TaskSlot), room, BPF_F_MMAPABLE);
    if (!slots) return slots.error();
    auto memo =
        make_bpf_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(TaskMemo), 1, BPF_F_MMAPABLE);
    if (!memo) return memo.error();
    const TaskLayout layout = layout_with(places);
    const auto constants = make_bpf_constants(&layout, sizeof(layout));
    if (!constants) return constants.error();
    BpfProgram program(kTasksInstructions, kTasksReferences);
    program.set_constants(constants.value().get());
    program.set_map("ids", ids.value().get());
    program.set_map("slots", slots.value().get());
    program.set_map("memo", memo.value().get());
    auto loaded =
        program.load("vprocfs_tasks", BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER, kernel_.iterator);
    if (!loaded) return loaded.error();
    auto link = attach_iterator(loaded.value().get());
    if (!link) return link.error();
    auto mapped_slots = Mapping::of_file(slots.value().get(), room * sizeof(TaskSlot));
    auto mapped_memo = Mapping::of_file(memo.value().get(), sizeof(TaskMemo));
    if (!mapped_slots || !mapped_memo) return Error{errno, "bpf map"};
    slots_ = std::move(mapped_slots);
    memo_ = std::move(mapped_memo);
    ids_fd_ = std::move(ids.value());
    slots_fd_ = std::move(slots.value());
    memo_fd_ = std::move(memo.value());
    program_fd_ = std::move(loaded.value());
    link_fd_ = std::move(link.value());
    places_ = places;
    ids_.clear();
    return true;
  }

  TaskLayout layout_with(const Places& places) const {
    TaskLayout out = kernel_.layout;
    for (const auto& [v1, depths] : places) {
      uint32_t is_first = 1;
      for (const uint32_t depth : depths) {
        const uint32_t subsystem = v1 ? kernel_.subsystems.at(*v1) : 0;
        const auto hierarchy = static_cast<uint32_t>(hierarchy_number(v1));
        out.places[out.place_count++] = {depth, hierarchy, is_first, !v1, subsystem};
        is_first = 0;
      }
    }
    return out;
  }

  Result<bool> put_id(uint64_t key, uint32_t slot) {
    bpf_attr a{};
    a.map_fd = static_cast<uint32_t>(ids_fd_.get());
    a.key = reinterpret_cast<uint64_t>(&key);
    a.value = reinterpret_cast<uint64_t>(&slot);
    a.flags = BPF_ANY;
    if (bpf(BPF_MAP_UPDATE_ELEM, a) != 0) return Error{errno, "bpf map"};
    ids_.push_back(key);
    return true;
  }

  void forget_ids() {
    for (const uint64_t& key : ids_) {
      bpf_attr a{};
      a.map_fd = static_cast<uint32_t>(ids_fd_.get());
      a.key = reinterpret_cast<uint64_t>(&key);
      bpf(BPF_MAP_DELETE_ELEM, a);
    }
    ids_.clear();
  }

  /// Reading the iterator's file runs the program for each task.
  Result<bool> pass() const {
    bpf_attr a{};
    a.iter_create.link_fd = static_cast<uint32_t>(link_fd_.get());
    const Fd iterator(bpf(BPF_ITER_CREATE, a));
    if (!iterator) return Error{errno, "bpf iterator"};
    char nothing[64];
    for (;;) {
      const ssize_t n = ::read(iterator.get(), nothing, sizeof(nothing));
      if (n == 0) return true;
      // EAGAIN: a million tasks seen; the next read goes on from there.
      if (n < 0 && errno != EAGAIN && errno != EINTR) return Error{errno, "bpf iterator"};
    }
  }

  const Kernel kernel_;
  std::vector<CountedCgroup> known_;
  Places places_;
  std::vector<uint64_t> ids_;
  Fd ids_fd_, slots_fd_, memo_fd_, program_fd_, link_fd_;
  Mapping slots_, memo_;  ///< of TaskSlot and of one TaskMemo, shared with the kernel
};

/// Before 5.11 maps and programs count as locked memory, of which little is allowed by default.
void raise_locked_memory() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_MEMLOCK, &limit);
}

}  // namespace

Result<std::unique_ptr<TaskCounter>> make_bpf_task_counter(int sysfs_fd) {
  const auto types = KernelTypes::read(sysfs_fd);
  if (!types) return types.error();
  auto kernel = Kernel::of(types.value());
  if (!kernel) return kernel.error();
  raise_locked_memory();
  std::unique_ptr<TaskCounter> counter =
      std::make_unique<BpfTaskCounter>(std::move(kernel.value()));
  // Whether the kernel takes the program shows only when it is loaded.
  CountedCgroup probe;
  probe.id = 1;
  auto counted = counter->count({probe});
  if (!counted) return counted.error();
  return counter;
}

}  // namespace vprocfs
