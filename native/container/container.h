#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "container/cpu_history.h"
#include "container/gather.h"
#include "container/resolve.h"
#include "container/task_load.h"
#include "container/tenant.h"
#include "facts/facts.h"
#include "source/container_source.h"
#include "source/host_source.h"
#include "state/state_file.h"
#include "view/sysinfo_model.h"
#include "view/view.h"

namespace vprocfs {

class OpenSources;
class Sampler;

/// What all containers share. Borrowed; outlives every Container.
struct Surroundings {
  const CgroupMounts* mounts = nullptr;
  ChangeNotifier* notifier = nullptr;  ///< may be nullptr
  HostSource* host = nullptr;
  StateFile* state = nullptr;  ///< may be nullptr: history does not survive then
  int procfs_fd = -1;
  Sampler* sampler = nullptr;       ///< may be nullptr: tasks are those that task_load() was given
  Commons* commons = nullptr;       ///< may be nullptr: nothing is bounded then
  OpenSources* sources = nullptr;   ///< may be nullptr: they stay open then
  uint64_t renders_per_second = 0;  ///< that one tenant may ask for; 0: no limit
  uint64_t calls_per_second = 0;    ///< system calls of it that are answered; 0: no limit
};

/// When a PID namespace of a container began.
struct Clock {
  uint64_t init_start_us = 0;  ///< CLOCK_BOOTTIME
  int64_t offset_us = 0;       ///< of its time namespace
};

/// What a file holds while the kernel caches it: size, time and content are of one moment.
struct CachedText {
  std::string text;
  uint64_t taken_us = 0;     ///< CLOCK_BOOTTIME
  CpuSet shown;              ///< for files that change with limits: the CPUs it was made for
  uint64_t modified_ns = 0;  ///< CLOCK_REALTIME; another one for each snapshot of a file
};
using CachedTextPtr = std::shared_ptr<const CachedText>;

/// One container that somebody asked about: who it is, its sources, and its history.
class Container {
 public:
  /// `tenant`: whose budgets it shares; nullptr: it has some of its own.
  Container(ContainerDescription description, Surroundings around,
            std::shared_ptr<Tenant> tenant = nullptr);
  ~Container();

  ContainerId id() const { return description_.id; }
  const ContainerDescription& description() const { return description_; }

  /// Gathers and renders. `now_us` is CLOCK_BOOTTIME. Errors: ESRCH when the container is gone,
  /// else what its source failed with.
  Result<std::string> render(const View& view, uint64_t now_us);

  /// The same for contract `exact`: what was made for another reader less than `tick_us` ago serves
  /// this one too, unless a limit was written since. `made` tells whether it was made anew.
  Result<std::string> render_shared(const View& view, uint64_t now_us, uint64_t tick_us,
                                    bool& made);
  /// The same to who has another clock than the container's first PID namespace: made anew.
  Result<std::string> render_for(const View& view, uint64_t now_us, const Clock& clock);
  /// Whether a clock is that of the first PID namespace.
  bool is_first(const Clock& clock) const {
    return clock.init_start_us == description_.init_start_us &&
           clock.offset_us == description_.boottime_offset_us;
  }

  /// The facts a view would be told, for tools.
  Result<Facts> facts(uint32_t needs, uint64_t now_us);

  /// What the system calls of its processes are told, made at most `tick_us` ago and not before the
  /// last write to a limit. Errors as render().
  struct CallFacts {
    SysinfoFigures sysinfo;
    CpuSet shown_cpus;
  };
  Result<CallFacts> call_facts(uint64_t now_us, uint64_t tick_us);

  /// Its init died: nothing new can be asked, what is open stays readable.
  void mark_dead();
  /// The file of its cgroup to write a trigger for `view` to. Errors as render().
  Result<Fd> open_trigger(const View& view);
  /// True while somebody reads its sources, which may take long: ask again later.
  bool busy();
  bool dead() const { return dead_.load(std::memory_order_acquire); }

  /// The outermost container around it, and what all that are nested in that share.
  Tenant& tenant() const { return *tenant_; }

  /// A file of it was opened or closed; the limit is the caller's to keep.
  void count_open(bool opened);
  /// Its open files hold snapshots of so many bytes more, and of so many less.
  void count_held(uint64_t more, uint64_t less);
  /// Its open files, and the bytes that they hold.
  uint64_t open_files() const { return open_files_.load(std::memory_order_relaxed); }
  uint64_t held_bytes() const { return held_bytes_.load(std::memory_order_relaxed); }

  /// When its cgroups were last read, CLOCK_BOOTTIME µs.
  uint64_t used_us() const { return used_us_.load(std::memory_order_relaxed); }
  /// Closes its cgroup files, and drops what was made from them. False while somebody reads them.
  bool close_idle_source();
  /// Requests for its files, and of these the opens that were refused for holding too much.
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> refused{0};

  /// What the kernel is to have of a file that it caches; nullptr when there is none yet.
  CachedTextPtr cached_text(uint16_t view_index);
  /// Makes a rendered text the present one of a file in contract `tick`. Its length stays that of
  /// the one before it where that can be.
  CachedTextPtr set_tick_text(const View& view, std::string text, uint64_t now_us);
  /// There is nothing that the kernel could have of a file.
  void drop_text(uint16_t view_index);
  /// The present text of a file that changes with limits only, rendered anew when the CPUs shown
  /// are others or when it is old (clock rates in cpuinfo). `changed` tells whether the kernel has
  /// to forget what it has.
  Result<CachedTextPtr> limits_text(const View& view, uint64_t now_us, bool& changed);

  /// The present text of a mirrored file in contract `tick`, by the number of its path. The oldest
  /// are dropped when they exceed 256 KiB together. `moves`: its length is to be kept.
  CachedTextPtr mirror_text(uint32_t number);
  CachedTextPtr set_mirror_text(uint32_t number, std::string text, bool moves, uint64_t now_us);

  /// How an OPEN of a file that the kernel caches is to be served.
  enum class CopyUse {
    kShare,    ///< the kernel's copy says this: read it from there
    kReplace,  ///< nobody reads the old copy: have the kernel forget it first
    kOwn,      ///< somebody reads an older copy, which must stay whole: a snapshot of its own
  };
  /// Decides it for the present text `now`, and counts the reader unless kOwn. `settling`: a
  /// replacement is under way, so that the answer has to queue behind it.
  CopyUse hold_copy(uint16_t view_index, const CachedTextPtr& now, bool& settling);
  void copy_settled(uint16_t view_index);
  void drop_copy(uint16_t view_index);
  /// What the kernel has, or is about to have, of a file; nullptr when nobody asked for it yet.
  CachedTextPtr kernel_copy(uint16_t view_index);

  /// Which open of a file came last, and by which thread.
  struct LastOpen {
    uint64_t handle = 0;
    uint32_t pid = 0;
  };
  /// Every connection has inodes and open files of its own.
  static constexpr size_t kConnections = 2;
  LastOpen last_open(size_t connection, uint16_t view_index);
  void set_last_open(size_t connection, uint16_t view_index, LastOpen last);

  /// The size of a file that the kernel was last told, by View::index; 0: not known.
  std::atomic<uint64_t>& told_size(size_t connection, uint16_t view_index) {
    return told_sizes_[connection][view_index];
  }

  /// Its tasks and load (kNeedTasks; with kNeedLoad the first who asks waits for figures), which
  /// are counted for a while from now on.
  TaskFacts tasks(uint32_t needs, uint64_t now_us);
  /// Where they are kept. The sampler's, and of those who count without one.
  std::shared_ptr<TaskLoad> task_load();

 private:
  /// Pressure is accounted for cgroup2 directories, which a container may share with others where
  /// it has none of its own.
  bool own_pressure() const { return description_.id.hierarchy() == IdentityHierarchy::kV2; }
  std::optional<Error> open_source_locked(uint64_t now_us);
  Result<Facts> gather_locked(uint32_t needs, uint64_t now_us);
  Result<std::string> render_locked(const View& view, uint64_t now_us);
  std::optional<uint64_t> limit_writes_locked(uint32_t needs) const;
  /// When something was made, and how often the limits had been written by then.
  struct Made {
    uint64_t taken_us = 0;
    uint64_t writes = 0;
  };
  /// Whether what was made may still be told: within the tick, and no limit was written since.
  bool is_current_locked(uint32_t needs, const Made& made, uint64_t now_us, uint64_t tick_us) const;
  void load_histories();
  /// Calls `unpack(data, bytes)` for each record of ours; the last for which it is true stays.
  template <typename Unpack>
  void load(RecordType type, RecordIndex& record, Unpack unpack);
  void save(RecordType type, RecordIndex& record, const std::string& packed);

  const ContainerDescription description_;
  const Surroundings around_;
  const std::shared_ptr<Tenant> tenant_;
  std::atomic<bool> dead_{false};
  std::atomic<uint64_t> open_files_{0}, held_bytes_{0}, used_us_{0};
  struct Shared : Made {
    std::string text;
  };
  std::mutex mutex_;  ///< guards source_, mounted_, histories_, shared_ and call_facts_
  std::unique_ptr<ContainerSource> source_;
  MountedDevices mounted_;
  Histories histories_;
  RecordIndex history_record_ = 0, io_record_ = 0;
  std::map<uint16_t, Shared> shared_;  ///< by View::index
  std::optional<CallFacts> call_facts_;
  Made call_made_;
  std::mutex task_load_mutex_;
  std::shared_ptr<TaskLoad> task_load_;  ///< nullptr until somebody asks
  std::array<std::array<std::atomic<uint64_t>, kViewSlots>, kConnections> told_sizes_{};
  std::mutex cached_mutex_;
  struct KernelCopy {
    CachedTextPtr text;
    uint32_t readers = 0;
    uint32_t settling = 0;
  };
  std::map<uint16_t, KernelCopy> copies_;
  std::map<uint16_t, CachedTextPtr> cached_;  ///< by View::index
  std::map<uint32_t, CachedTextPtr> mirrored_;
  size_t mirrored_bytes_ = 0;
  std::mutex last_open_mutex_;
  std::array<std::array<LastOpen, kViewSlots>, kConnections> last_open_{};
};

}  // namespace vprocfs
