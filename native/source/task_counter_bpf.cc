#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/fd.h"
#include "source/bpf_program.h"
#include "source/kernel_types.h"
#include "source/task_counter.h"

namespace vprocfs {
namespace {

// What the kernel calls states (include/linux/sched.h); none of them is in any header for us.
constexpr int32_t kTaskUninterruptible = 0x2;
constexpr int32_t kTaskNoLoad = 0x400;
constexpr int32_t kTaskFrozen = 0x8000;      // since 6.1
constexpr int32_t kFlagFrozen = 0x00010000;  // PF_FROZEN, before 6.1; now kcompactd's alone

constexpr size_t kMaxPlaces = 32;  ///< different depths of containers that one program knows
constexpr uint32_t kMinSlots = 64;
constexpr unsigned kHierarchyShift = 56;  // kernfs ids count up from 1

/// The figures of one cgroup, shared with the program.
struct Slot {
  uint32_t running, blocked, total, last_pid;
  uint32_t pid_namespace;
  uint32_t unused[3];
};

/// Which slots the tasks of a css_set count for. Tasks that follow each other are mostly of the
/// same one, so that the program looks its cgroups up once for many.
struct Memo {
  uint64_t set;                ///< address; 0: none yet
  uint32_t slots[kMaxPlaces];  ///< by place, + 1; 0: none
};

/// Where the program finds what it needs in the kernel's structures.
struct Layout {
  uint32_t iterator = 0;  ///< type id of bpf_iter_task
  uint32_t task_state = 0, task_flags = 0, task_cgroups = 0, task_pid = 0;
  bool state_is_long = false;  ///< before 5.14
  uint32_t set_v2 = 0, set_subsystems = 0, subsystem_cgroup = 0;
  uint32_t cgroup_level = 0, cgroup_ancestors = 0, cgroup_node = 0, node_id = 0;
  bool ancestors_are_ids = false;  ///< before 6.1
  PidLayout pid;
  uint32_t namespace_next = 0;
  std::map<Controller, uint32_t> subsystems;

  static Result<Layout> of(const KernelTypes& types);
};

Result<Layout> Layout::of(const KernelTypes& types) {
  Layout out;
  RequiredFields field(types);
  const auto iterator = types.function("bpf_iter_task");
  if (!iterator) return Error{ENOENT, "bpf_iter_task"};
  out.iterator = *iterator;
  const auto state = types.offset("task_struct", "__state");
  out.state_is_long = !state;
  out.task_state = state ? *state : field("task_struct", "state");
  out.task_flags = field("task_struct", "flags");
  out.task_cgroups = field("task_struct", "cgroups");
  out.task_pid = field("task_struct", "thread_pid");
  out.set_v2 = field("css_set", "dfl_cgrp");
  out.set_subsystems = field("css_set", "subsys");
  out.subsystem_cgroup = field("cgroup_subsys_state", "cgroup");
  out.cgroup_level = field("cgroup", "level");
  out.cgroup_node = field("cgroup", "kn");
  out.node_id = field("kernfs_node", "id");
  const auto ancestors = types.offset("cgroup", "ancestors");
  out.ancestors_are_ids = !ancestors;
  out.cgroup_ancestors = ancestors ? *ancestors : field("cgroup", "ancestor_ids");
  out.pid = PidLayout::of(field);
  out.namespace_next = field("pid_namespace", "idr") + field("idr", "idr_next");
  if (field.missing()) return *field.missing();
  // The two that are read without a helper, with the short offset of an instruction.
  if (std::max(out.task_state, out.task_flags) > INT16_MAX) return Error{ERANGE, "task_struct"};
  constexpr std::pair<Controller, const char*> kSubsystems[] = {
      {Controller::kMemory, "memory_cgrp_id"},
      {Controller::kCpu, "cpu_cgrp_id"},
      {Controller::kPids, "pids_cgrp_id"}};
  for (const auto& [controller, name] : kSubsystems) {
    if (const auto id = types.enumerator("cgroup_subsys_id", name))
      out.subsystems[controller] = *id;
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

/// Writes the program that looks at one task. It never refuses a task: what cannot be read reads as
/// 0, which is in no map.
class ProgramWriter {
 public:
  struct Maps {
    int ids, slots, memo;  ///< descriptors
  };

  ProgramWriter(const Layout& layout, const Places& places, Maps maps)
      : layout_(layout), places_(places), maps_(maps) {}

  BpfProgram write() {
    BpfProgram::Label end;
    p_.load64(kTask, BPF_REG_1, 8);  // struct bpf_iter__task: after the last task it is nullptr
    p_.jump_if(BPF_JEQ, kTask, 0, end);
    classify();
    read(kSetAt, 8, kTask, layout_.task_cgroups);
    p_.set(BPF_REG_1, 0);
    p_.store32(BPF_REG_10, kValueAt, BPF_REG_1);
    look_up(maps_.memo, kValueAt, end);
    p_.store64(BPF_REG_10, kMemoAt, BPF_REG_0);
    p_.load64(BPF_REG_1, BPF_REG_0, offsetof(Memo, set));
    p_.load64(BPF_REG_2, BPF_REG_10, kSetAt);
    BpfProgram::Label known;
    p_.jump_if_registers(BPF_JEQ, BPF_REG_1, BPF_REG_2, known);
    p_.store64(BPF_REG_0, offsetof(Memo, set), BPF_REG_2);
    size_t place = 0;
    for (const auto& [v1, depths] : places_) {
      in_hierarchy(v1, depths, place);
      place += depths.size();
    }
    p_.bind(known);
    for (size_t i = 0; i < place; ++i) count_at(i);
    p_.bind(end);
    p_.set(BPF_REG_0, 0);
    p_.exit();
    return std::move(p_);
  }

 private:
  static constexpr int kTask = BPF_REG_6, kBase = BPF_REG_7, kClass = BPF_REG_8, kSlot = BPF_REG_9;
  enum Class { kOther = 0, kRunning = 1, kBlocked = 2 };
  // Places on the stack.
  static constexpr int16_t kValueAt = -8, kSetAt = -16, kCgroupAt = -24, kKeyAt = -32,
                           kMemoAt = -40;

  /// Copies `size` bytes of the kernel's memory at `base` + `offset` to the stack.
  void read(int16_t to, int32_t size, int base, uint32_t offset) {
    p_.move(BPF_REG_1, BPF_REG_10);
    p_.add(BPF_REG_1, to);
    p_.set(BPF_REG_2, size);
    p_.move(BPF_REG_3, base);
    p_.add(BPF_REG_3, static_cast<int32_t>(offset));
    p_.call(BPF_FUNC_probe_read_kernel);
  }

  /// What fs/proc/loadavg.c would count the task as (kernel/sched/loadavg.c).
  void classify() {
    BpfProgram::Label done, other, running;
    const auto state = static_cast<int16_t>(layout_.task_state);
    if (layout_.state_is_long) {
      p_.load64(BPF_REG_1, kTask, state);
    } else {
      p_.load32(BPF_REG_1, kTask, state);
    }
    p_.jump_if(BPF_JEQ, BPF_REG_1, 0, running);
    p_.move(BPF_REG_2, BPF_REG_1);
    p_.and_with(BPF_REG_2, kTaskUninterruptible);
    p_.jump_if(BPF_JEQ, BPF_REG_2, 0, other);
    p_.and_with(BPF_REG_1, kTaskNoLoad | kTaskFrozen);
    p_.jump_if(BPF_JNE, BPF_REG_1, 0, other);
    p_.load32(BPF_REG_1, kTask, static_cast<int16_t>(layout_.task_flags));
    p_.and_with(BPF_REG_1, kFlagFrozen);
    p_.jump_if(BPF_JNE, BPF_REG_1, 0, other);
    p_.set(kClass, kBlocked);
    p_.jump(done);
    p_.bind(running);
    p_.set(kClass, kRunning);
    p_.jump(done);
    p_.bind(other);
    p_.set(kClass, kOther);
    p_.bind(done);
  }

  /// Fills in the memo for all depths of a hierarchy, which are its places from `place` on.
  void in_hierarchy(const std::optional<Controller>& v1, const std::set<uint32_t>& depths,
                    size_t place) {
    for (size_t i = 0; i < depths.size(); ++i) {
      p_.set(BPF_REG_1, 0);
      remember(place + i);
    }
    p_.load64(kBase, BPF_REG_10, kSetAt);
    if (v1) {
      read(kCgroupAt, 8, kBase, layout_.set_subsystems + 8 * layout_.subsystems.at(*v1));
      p_.load64(kBase, BPF_REG_10, kCgroupAt);
      read(kCgroupAt, 8, kBase, layout_.subsystem_cgroup);
    } else {
      read(kCgroupAt, 8, kBase, layout_.set_v2);
    }
    BpfProgram::Label next;
    for (const uint32_t depth : depths) at_depth(hierarchy_number(v1), depth, place++, next);
    p_.bind(next);
  }

  /// Remembers the slot of its ancestor (or itself) at `depth`, where that is asked for. `next`:
  /// the cgroup is not that deep, nor any deeper.
  void at_depth(uint64_t hierarchy, uint32_t depth, size_t place, BpfProgram::Label& next) {
    BpfProgram::Label skip;
    p_.load64(kBase, BPF_REG_10, kCgroupAt);
    read(kValueAt, 4, kBase, layout_.cgroup_level);
    p_.load32(BPF_REG_1, BPF_REG_10, kValueAt);
    p_.jump_if(BPF_JLT, BPF_REG_1, static_cast<int32_t>(depth), next);
    read(kKeyAt, 8, kBase, layout_.cgroup_ancestors + 8 * depth);
    if (!layout_.ancestors_are_ids) {
      p_.load64(kBase, BPF_REG_10, kKeyAt);
      read(kKeyAt, 8, kBase, layout_.cgroup_node);
      p_.load64(kBase, BPF_REG_10, kKeyAt);
      read(kKeyAt, 8, kBase, layout_.node_id);
    }
    p_.load64(BPF_REG_1, BPF_REG_10, kKeyAt);
    p_.set_wide(BPF_REG_2, hierarchy << kHierarchyShift);
    p_.or_register(BPF_REG_1, BPF_REG_2);
    p_.store64(BPF_REG_10, kKeyAt, BPF_REG_1);
    look_up(maps_.ids, kKeyAt, skip);
    p_.load32(BPF_REG_1, BPF_REG_0, 0);
    p_.add(BPF_REG_1, 1);
    remember(place);
    p_.bind(skip);
  }

  static int16_t memo_field(size_t place) {
    return static_cast<int16_t>(offsetof(Memo, slots) + place * sizeof(uint32_t));
  }

  /// Register 1 holds what to remember for a place.
  void remember(size_t place) {
    p_.load64(BPF_REG_2, BPF_REG_10, kMemoAt);
    p_.store32(BPF_REG_2, memo_field(place), BPF_REG_1);
  }

  void count_at(size_t place) {
    BpfProgram::Label skip;
    p_.load64(BPF_REG_1, BPF_REG_10, kMemoAt);
    p_.load32(BPF_REG_1, BPF_REG_1, memo_field(place));
    p_.jump_if(BPF_JEQ, BPF_REG_1, 0, skip);
    p_.add(BPF_REG_1, -1);
    p_.store32(BPF_REG_10, kValueAt, BPF_REG_1);
    look_up(maps_.slots, kValueAt, skip);
    p_.move(kSlot, BPF_REG_0);
    take();
    p_.bind(skip);
  }

  void look_up(int map_fd, int16_t key_at, BpfProgram::Label& absent) {
    p_.set_map(BPF_REG_1, map_fd);
    p_.move(BPF_REG_2, BPF_REG_10);
    p_.add(BPF_REG_2, key_at);
    p_.call(BPF_FUNC_map_lookup_elem);
    p_.jump_if(BPF_JEQ, BPF_REG_0, 0, absent);
  }

  void increment(size_t field) {
    const auto at = static_cast<int16_t>(field);
    p_.load32(BPF_REG_1, kSlot, at);
    p_.add(BPF_REG_1, 1);
    p_.store32(kSlot, at, BPF_REG_1);
  }

  void take() {
    BpfProgram::Label counted, not_running, known;
    increment(offsetof(Slot, total));
    p_.jump_if(BPF_JNE, kClass, kRunning, not_running);
    increment(offsetof(Slot, running));
    p_.jump(counted);
    p_.bind(not_running);
    p_.jump_if(BPF_JNE, kClass, kBlocked, counted);
    increment(offsetof(Slot, blocked));
    p_.bind(counted);
    p_.load32(BPF_REG_1, kSlot, offsetof(Slot, last_pid));
    p_.jump_if(BPF_JNE, BPF_REG_1, 0, known);
    last_pid(known);
    p_.bind(known);
  }

  /// As fs/proc/loadavg.c: one before the next PID that the task's namespace gives.
  void last_pid(BpfProgram::Label& other) {
    read(kKeyAt, 8, kTask, layout_.task_pid);
    p_.load64(kBase, BPF_REG_10, kKeyAt);
    read(kValueAt, 4, kBase, layout_.pid.level);
    p_.load32(BPF_REG_1, BPF_REG_10, kValueAt);
    p_.multiply(BPF_REG_1, static_cast<int32_t>(layout_.pid.number_size));
    p_.add_register(kBase, BPF_REG_1);
    read(kKeyAt, 8, kBase, layout_.pid.numbers + layout_.pid.number_namespace);
    p_.load64(kBase, BPF_REG_10, kKeyAt);
    read(kValueAt, 4, kBase, layout_.pid.namespace_inum);
    p_.load32(BPF_REG_1, BPF_REG_10, kValueAt);
    p_.load32(BPF_REG_2, kSlot, offsetof(Slot, pid_namespace));
    p_.jump_if_registers(BPF_JNE, BPF_REG_1, BPF_REG_2, other);
    read(kValueAt, 4, kBase, layout_.namespace_next);
    p_.load32(BPF_REG_1, BPF_REG_10, kValueAt);
    p_.jump_if(BPF_JEQ, BPF_REG_1, 0, other);
    p_.add(BPF_REG_1, -1);
    p_.store32(kSlot, offsetof(Slot, last_pid), BPF_REG_1);
  }

  const Layout& layout_;
  const Places& places_;
  const Maps maps_;
  BpfProgram p_;
};

Result<Fd> attach_iterator(int program_fd) {
  bpf_attr a{};
  a.link_create.prog_fd = static_cast<uint32_t>(program_fd);
  a.link_create.attach_type = BPF_TRACE_ITER;
  Fd fd(bpf(BPF_LINK_CREATE, a));
  if (!fd) return Error{errno, "bpf iterator"};
  return fd;
}

/// The memory of an array map, shared with the kernel.
template <typename T>
class SharedArray {
 public:
  SharedArray() = default;
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;
  ~SharedArray() { unmap(); }

  bool map(int fd, size_t count) {
    unmap();
    void* at = ::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return false;
    items_ = static_cast<T*>(at);
    count_ = count;
    return true;
  }
  T& operator[](size_t i) { return items_[i]; }
  size_t size() const { return count_; }

 private:
  void unmap() {
    if (items_ != nullptr) ::munmap(items_, count_ * sizeof(T));
    items_ = nullptr;
    count_ = 0;
  }
  T* items_ = nullptr;
  size_t count_ = 0;
};

class BpfTaskCounter : public TaskCounter {
 public:
  explicit BpfTaskCounter(Layout layout) : layout_(std::move(layout)) {}

  const char* name() const override { return "bpf"; }

  Result<std::vector<TaskCount>> count(const std::vector<CountedCgroup>& cgroups) override {
    if (cgroups != known_) {
      auto ready = prepare(cgroups);
      if (!ready) return ready.error();
    }
    for (size_t i = 0; i < cgroups.size(); ++i) {
      slots_[i] = Slot{0, 0, 0, 0, static_cast<uint32_t>(cgroups[i].pid_namespace), {}};
    }
    memo_[0].set = 0;
    auto done = pass();
    if (!done) return done.error();
    std::vector<TaskCount> out;
    out.reserve(cgroups.size());
    for (size_t i = 0; i < cgroups.size(); ++i) {
      const Slot& s = slots_[i];
      out.push_back({s.running, s.blocked, s.total, s.last_pid});
    }
    return out;
  }

 private:
  Result<bool> prepare(const std::vector<CountedCgroup>& cgroups) {
    Places places;
    std::map<uint32_t, std::set<std::optional<Controller>>> by_depth;
    for (const auto& cgroup : cgroups) {
      if (cgroup.v1 && layout_.subsystems.count(*cgroup.v1) == 0) return Error{ENOTSUP, "bpf"};
      by_depth[depth_of(cgroup.path)].insert(cgroup.v1);
    }
    // Whoever nests containers deeper than all others must not take the program from them: those
    // at the greatest depths are left out where there are too many different ones.
    size_t room = kMaxPlaces;
    for (const auto& [depth, hierarchies] : by_depth) {
      for (const auto& v1 : hierarchies) {
        if (room == 0) break;
        places[v1].insert(depth);
        --room;
      }
    }
    known_.clear();
    if (cgroups.size() > slots_.size() || places != places_) {
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
        make_bpf_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(Slot), room, BPF_F_MMAPABLE);
    if (!slots) return slots.error();
    auto memo = make_bpf_map(BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(Memo), 1, BPF_F_MMAPABLE);
    if (!memo) return memo.error();
    const ProgramWriter::Maps maps{ids.value().get(), slots.value().get(), memo.value().get()};
    const BpfProgram program = ProgramWriter(layout_, places, maps).write();
    auto loaded = load_bpf_program("vprocfs_tasks", program.code(), BPF_PROG_TYPE_TRACING,
                                   BPF_TRACE_ITER, layout_.iterator);
    if (!loaded) return loaded.error();
    auto link = attach_iterator(loaded.value().get());
    if (!link) return link.error();
    if (!slots_.map(maps.slots, room) || !memo_.map(maps.memo, 1)) return Error{errno, "bpf map"};
    ids_fd_ = std::move(ids.value());
    slots_fd_ = std::move(slots.value());
    memo_fd_ = std::move(memo.value());
    program_fd_ = std::move(loaded.value());
    link_fd_ = std::move(link.value());
    places_ = places;
    ids_.clear();
    return true;
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

  const Layout layout_;
  std::vector<CountedCgroup> known_;
  Places places_;
  std::vector<uint64_t> ids_;
  Fd ids_fd_, slots_fd_, memo_fd_, program_fd_, link_fd_;
  SharedArray<Slot> slots_;
  SharedArray<Memo> memo_;
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
  auto layout = Layout::of(types.value());
  if (!layout) return layout.error();
  raise_locked_memory();
  std::unique_ptr<TaskCounter> counter =
      std::make_unique<BpfTaskCounter>(std::move(layout.value()));
  // Whether the kernel takes the program shows only when it is loaded.
  CountedCgroup probe;
  probe.id = 1;
  auto counted = counter->count({probe});
  if (!counted) return counted.error();
  return counter;
}

}  // namespace vprocfs
