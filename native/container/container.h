#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.h"
#include "container/cpu_move.h"
#include "container/gather.h"
#include "container/last_thread.h"
#include "container/life.h"
#include "container/life_record.h"
#include "container/more_cpus.h"
#include "container/resolve.h"
#include "container/task_load.h"
#include "facts/facts.h"
#include "source/container_source.h"
#include "source/host_source.h"
#include "state/state_file.h"
#include "tenant/tenant.h"
#include "view/sysinfo_model.h"
#include "view/view.h"

namespace vprocfs {

class Attempts;
class OpenSources;
class Sampler;

/// What all containers share. Borrowed; outlives every Container.
struct SharedServices {
  const CgroupMounts* mounts = nullptr;
  ChangeNotifier* notifier = nullptr;  ///< may be nullptr
  HostSource* host = nullptr;
  StateFile* state = nullptr;  ///< may be nullptr: history does not survive then
  int procfs_fd = -1;
  Sampler* sampler = nullptr;  ///< may be nullptr: tasks are those that task_load() was given
  SharedResources* resources = nullptr;  ///< may be nullptr: nothing is limited then
  OpenSources* sources = nullptr;        ///< may be nullptr: they stay open then
  MoreCpus* more_cpus = nullptr;         ///< may be nullptr: nobody is told then
  Attempts* attempts = nullptr;          ///< may be nullptr: who asks may have to wait then
  TenantRates rates;
};

/// One container that somebody asked about: who it is, its sources, and its history.
class Container {
 public:
  /// `tenant`: whose budgets it shares; nullptr: it has some of its own.
  Container(ContainerDescription description, SharedServices services,
            std::shared_ptr<Tenant> tenant = nullptr);
  ~Container();

  ContainerId id() const { return description_.id; }
  const ContainerDescription& description() const { return description_; }
  /// Keeps what it has told for the next worker; nullptr: nothing does.
  StateFile* state() const { return services_.state; }

  /// Gathers and renders. `now_us` is CLOCK_BOOTTIME. Errors: ESRCH when the container is gone,
  /// else what its source failed with.
  Result<std::string> render(const View& view, uint64_t now_us);

  /// The same for contract `exact`: a text rendered for another reader less than `tick_us` ago is
  /// used again, unless a limit was written since. `made` says whether it was rendered now.
  Result<std::string> render_shared(const View& view, uint64_t now_us, uint64_t tick_us,
                                    bool& made);
  /// The same for a caller whose clock is not the container's: always rendered.
  Result<std::string> render_for(const View& view, uint64_t now_us, const PidNamespaceClock& clock);
  /// The age of its figures: the clock of its first PID namespace. After a takeover that may be
  /// another one than the description's, and may have ended.
  const PidNamespaceClock& clock() const { return life_.clock(); }
  bool is_first(const PidNamespaceClock& clock) const {
    return clock.init_start_us == life_.clock().init_start_us &&
           clock.offset_us == life_.clock().offset_us;
  }
  /// Whether it has, or has had, other PID namespaces that may have another clock.
  bool has_several_clocks() const { return life_.has_several(); }
  /// By which what is kept is known to be its own.
  const LifeStarts& starts() const { return life_.starts(); }
  /// A PID namespace was found in it. The registry calls this, with its lock.
  void join(const ContainerDescription& description) { life_.join(description); }

  /// Who was found last to be in the PID namespace of the description.
  LastThread of_description;

  /// CPU time that its cgroup has used. Nothing: that cannot be read, or others read its sources
  /// for some ms.
  std::optional<CpuUsageFacts> used_cpu();
  /// The sum of it, µs.
  std::optional<uint64_t> used_cpu_us();
  /// Does not count what was used in its cgroup before it began. Before anything else is asked.
  void leave_out(const CpuUsageFacts& used);

  /// Somebody has written to a limit of some container: if it was a limit of this one's CPUs, the
  /// CPUs that it has from now on count from now on. One whose files are not open finds that at its
  /// next reading. False: they are being read; ask again.
  bool limits_changed(uint64_t now_us);
  /// Whether that has something to do. Reads nothing.
  bool may_have_other_limits();

  /// The facts a view would be told, for tools.
  Result<Facts> facts(uint32_t needs, uint64_t now_us);

  /// The CPUs that it shows, found at most `tick_us` ago and not before the last write to a limit.
  /// Errors as render().
  Result<CpuSet> shown_cpus(uint64_t now_us, uint64_t tick_us);

  /// What a text that changes with limits was made of: the CPUs that it is for, and the host's
  /// cpuinfo where that is in it.
  struct MadeOf {
    CpuSet cpus;
    std::weak_ptr<const HostCpuinfo> cpuinfo;
  };
  struct RecentText {
    std::optional<std::string> text;
    MadeOf made_of;         ///< of one that changes with limits
    uint64_t taken_us = 0;  ///< when the oldest of its figures were gathered
  };
  /// Figures that were gathered for another file less than `tick_us` ago are used again, unless a
  /// limit was written since. The text is nothing where it changes with limits and is the one that
  /// was made of `before`. Errors as render().
  Result<RecentText> render_recent(const View& view, uint64_t now_us, uint64_t tick_us,
                                   const MadeOf& before);

  /// The figures for system calls of its processes, gathered at most `tick_us` ago and not before
  /// the last write to a limit. Errors as render().
  struct CallFacts {
    SysinfoFigures sysinfo;
    CpuSet shown_cpus;
  };
  Result<CallFacts> call_facts(uint64_t now_us, uint64_t tick_us);

  /// Its init died: nothing new can be asked, what is open stays readable. What is kept of its life
  /// is given back when it is destroyed, whoever has kept it.
  void mark_dead();
  /// Another one goes on with its life: what is kept stays. Before mark_dead().
  void leave_kept() { leaves_kept_.store(true, std::memory_order_release); }
  /// The file of its cgroup to write a trigger for `view` to. Errors as render().
  Result<Fd> open_trigger(const View& view);
  /// True while somebody reads its sources, which may take long: ask again later.
  bool busy();
  bool dead() const { return dead_.load(std::memory_order_acquire); }

  /// The outermost container around it, and what all that are nested in that share.
  Tenant& tenant() const { return *tenant_; }
  /// It is one of those that the tenant has, until it is destroyed. Once, and before others know
  /// it.
  void count();

  /// When its cgroups were last read, CLOCK_BOOTTIME µs.
  uint64_t used_us() const { return used_us_.load(std::memory_order_relaxed); }
  /// Drops what was made from its cgroup files, and gives up these: they are closed with what is
  /// returned. nullptr while somebody reads them.
  std::unique_ptr<ContainerSource> take_idle_source();
  /// Requests for its files, and of these the opens that were refused for holding too much.
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> refused{0};

  /// What whoever serves its files keeps for it: made once, and destroyed with it. `T` is derived
  /// from Attached and made of a Container&; the same one in every call.
  class Attached {
   public:
    virtual ~Attached() = default;
    /// Gives up what can be made anew: many other containers of the tenant are in use.
    virtual void drop_texts() = 0;
  };
  template <typename T>
  T& attached() {
    std::call_once(attached_once_, [this] {
      attached_ = std::make_unique<T>(*this);
      is_attached_.store(true, std::memory_order_release);
    });
    return static_cast<T&>(*attached_);
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
  /// Goes on with CPU time from where it was, if the source has it from other cgroups than before.
  std::optional<Error> begin_cpu_time_locked(uint64_t now_us);
  void drop_source_locked();
  void drop_cached_locked();
  /// Takes note of cgroups that it has been moved to: the source is to be opened again.
  void take_moves_locked(uint64_t now_us);
  void note_shown_locked(const CpuSet& shown);
  Result<Facts> gather_once_locked(uint32_t needs, uint64_t now_us, uint64_t tick_us);
  /// The same, once more if its cgroups were not those that it has now. With what was gathered at
  /// most `tick_us` ago for another view, where that is the same.
  Result<Facts> gather_locked(uint32_t needs, uint64_t now_us, uint64_t tick_us = 0);
  Result<std::string> render_locked(const View& view, uint64_t now_us, uint64_t tick_us = 0);
  std::optional<uint64_t> limit_writes_locked(uint32_t needs) const;
  /// When something cached was made, and how often the limits had been written by then.
  struct CacheStamp {
    uint64_t taken_us = 0;
    uint64_t writes = 0;
  };
  /// Whether what was made may still be used: within the tick, and no limit was written since.
  bool is_current_locked(uint32_t needs, const CacheStamp& stamp, uint64_t now_us,
                         uint64_t tick_us) const;
  template <typename T>
  struct Cached : CacheStamp {
    T value;
  };
  /// The cached value if it is still current; else what `make` gathers and makes of it, which is
  /// cached from then on.
  template <typename T, typename Make>
  Result<T> cached_locked(std::optional<Cached<T>>& cached, uint32_t needs, uint64_t now_us,
                          uint64_t tick_us, Make make);
  /// What it has, where that is still current; taken_us_ is then its moment.
  const Facts* recent_locked(const std::optional<Cached<Facts>>& recent, uint32_t needs,
                             uint64_t now_us, uint64_t tick_us);
  void load_histories();
  /// Whether nobody goes on with what is kept of it.
  bool has_ended() const { return dead() && !leaves_kept_.load(std::memory_order_acquire); }

  const ContainerDescription description_;
  const SharedServices services_;
  const std::shared_ptr<Tenant> tenant_;
  bool counts_ = false;
  Life life_;
  std::atomic<bool> dead_{false}, leaves_kept_{false};
  std::atomic<uint64_t> used_us_{0};
  std::mutex mutex_;          ///< guards what follows to cpu_limit_writes_
  CgroupPaths paths_;         ///< those of the description, and of where it was moved to since
  CgroupMoveDetector moves_;  ///< open as long as the source is
  uint64_t looked_us_ = 0;    ///< when that was last looked at
  uint64_t there_us_ = 0;     ///< when it was last known to be in the cgroups of cpu_places_
  std::unique_ptr<ContainerSource> source_;
  uint64_t sources_opened_ = 0;
  std::optional<CpuPlaces> cpu_places_;  ///< that the history of CPU time goes on from
  CpuMoves cpu_moves_;
  MountedDevices mounted_;
  Histories histories_;
  std::optional<Cached<Facts>> recent_cpus_, recent_memory_;  ///< see Gathered
  uint64_t taken_us_ = 0;  ///< the earliest moment of what was gathered last
  LifeRecord cpu_record_, io_record_, io_losses_record_, events_record_;
  std::map<uint16_t, std::optional<Cached<std::string>>> shared_;  ///< by View::index
  std::optional<Cached<CallFacts>> call_facts_;
  std::optional<Cached<CpuSet>> shown_;
  std::optional<CpuSet> last_shown_;          ///< the CPUs of the last facts
  std::optional<uint64_t> cpu_limit_writes_;  ///< that limits_changed() has looked at
  std::mutex task_load_mutex_;
  std::shared_ptr<TaskLoad> task_load_;  ///< nullptr until somebody asks
  std::once_flag attached_once_;
  std::unique_ptr<Attached> attached_;  ///< nullptr until somebody asks
  std::atomic<bool> is_attached_{false};
};

}  // namespace vprocfs
