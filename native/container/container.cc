#include "container/container.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/wide.h"
#include "container/history_record.h"
#include "container/idle_before.h"
#include "container/load_history.h"
#include "container/open_sources.h"
#include "container/sampler.h"
#include "source/cgroup_dir.h"
#include "view/writer.h"

namespace vprocfs {

namespace {

/// The first who asks for the load waits this long for it at most, rather than be told of none.
constexpr std::chrono::milliseconds kFirstLoadWait{100};

std::string text_of(const View& view, const Facts& facts) {
  std::string text;
  text.reserve(2048);
  Writer writer(text);
  view.render(facts, writer);
  return text;
}

/// The value of `cached`, to be overwritten: it reuses the memory of the value before.
template <typename Cached>
auto& renew(std::optional<Cached>& cached, uint64_t taken_us, uint64_t writes) {
  if (!cached) cached.emplace();
  cached->taken_us = taken_us;
  cached->writes = writes;
  return cached->value;
}

}  // namespace

Container::Container(ContainerDescription description, SharedServices services,
                     std::shared_ptr<Tenant> tenant)
    : description_(std::move(description)),
      services_(services),
      tenant_(tenant ? std::move(tenant)
                     : std::make_shared<Tenant>(description_.id, nullptr, services.rates)),
      life_(services.state, services.procfs_fd, description_),
      paths_(description_.paths),
      moves_(services.procfs_fd),
      mounted_(services.procfs_fd, services.host == nullptr ? -1 : services.host->sysfs_fd(),
               description_.init, description_.init_start_us),
      cpu_record_(services.state, RecordType::kHistory, description_.id.packed(), life_.starts()),
      io_record_(services.state, RecordType::kIoHistory, description_.id.packed(), life_.starts()),
      io_losses_record_(services.state, RecordType::kIoLosses, description_.id.packed(),
                        life_.starts()),
      events_record_(services.state, RecordType::kEvents, description_.id.packed(),
                     life_.starts()) {
  load_histories();
}

Container::~Container() {
  if (counts_) tenant_->resources().give(Resource::kContainers);
  // Also without a source: another thread may be in the middle of taking it.
  if (services_.sources != nullptr) services_.sources->closed(*this);
  // The history of a container that lives on stays in the state file for the next one who asks.
  if (!has_ended()) return;
  // Also what others have kept: an earlier worker, and one that was made at the same time.
  LifeRecord::forget(services_.state, kOfLife, id().packed(), starts());
  LifeRecord::forget(services_.state, {RecordType::kLoad}, id().packed(), starts(), kLoadVersion);
}

void Container::count() {
  counts_ = true;
  tenant_->resources().note(Resource::kContainers, 1);
}

Result<Fd> Container::open_trigger(const View& view) {
  const std::lock_guard lock(mutex_);
  const auto resource = pressure_needed(view.needs);
  if (!resource || !own_pressure()) return Error{EOPNOTSUPP, description_.cgroup};
  if (auto error = open_source_locked(boottime_us())) return *error;
  return source_->open_trigger(*resource);
}

const Facts* Container::recent_locked(const std::optional<Cached<Facts>>& recent, uint32_t needs,
                                      uint64_t now_us, uint64_t tick_us) {
  if (!recent || !is_current_locked(needs, *recent, now_us, tick_us)) return nullptr;
  taken_us_ = std::min(taken_us_, recent->taken_us);
  return &recent->value;
}

Result<Facts> Container::gather_locked(uint32_t needs, uint64_t now_us, uint64_t tick_us) {
  auto facts = gather_once_locked(needs, now_us, tick_us);
  const auto is_gone = [&] {
    if (facts || dead()) return false;
    return source_ ? facts.error().code == ENODEV : is_of_removed(facts.error());
  };
  // Its init may live on in another cgroup than the one that is gone.
  if (is_gone() && paths_.has_v1()) {
    drop_source_locked();
    take_moves_locked(now_us);
    facts = gather_once_locked(needs, now_us, tick_us);
    if (is_gone()) return Error{ESRCH, facts.error().path};
  }
  if (!facts && facts.error().code == ENODEV) return Error{ESRCH, facts.error().path};
  return facts;
}

void Container::note_shown_locked(const CpuSet& shown) {
  if (last_shown_ == shown) return;
  const bool more = last_shown_ && !shown.without(*last_shown_).empty();
  last_shown_ = shown;
  if (more && services_.more_cpus != nullptr) services_.more_cpus->note(id());
}

Result<Facts> Container::gather_once_locked(uint32_t needs, uint64_t now_us, uint64_t tick_us) {
  if (auto error = open_source_locked(now_us)) return *error;
  if (pressure_needed(needs) && !own_pressure()) return Error{EOPNOTSUPP, description_.cgroup};
  taken_us_ = now_us;
  const bool for_report = (needs & kNeedCpuReport) != 0;
  const bool for_memory = (needs & kAnyMemory) == kNeedMemory;
  Gathered before;
  if (needs & kAnyCpus) before.cpus = recent_locked(recent_cpus_, kAnyCpus, now_us, tick_us);
  if (for_memory) before.memory = recent_locked(recent_memory_, kNeedMemory, now_us, tick_us);
  const bool new_cpus = for_report && before.cpus == nullptr;
  const bool new_memory = for_memory && before.memory == nullptr;
  // Counted before the limits are read: what is written meanwhile is not in these.
  const auto cpu_writes = new_cpus ? limit_writes_locked(kAnyCpus) : std::nullopt;
  const auto memory_writes = new_memory ? limit_writes_locked(kNeedMemory) : std::nullopt;
  auto facts =
      gather(needs, *services_.host, *source_, histories_,
             ContainerClock{now_us, clock().init_start_us, clock().offset_us}, mounted_, before);
  if (facts && needs & kAnyCpus) note_shown_locked(facts.value().shown_cpus);
  if (facts && new_memory) {
    if (memory_writes && tick_us > 0) {
      copy_memory(facts.value(), renew(recent_memory_, now_us, *memory_writes));
    } else {
      recent_memory_.reset();
    }
  }
  if (facts && new_cpus) {
    if (cpu_writes && tick_us > 0) {
      copy_cpus(facts.value(), renew(recent_cpus_, now_us, *cpu_writes));
    } else {
      recent_cpus_.reset();
    }
  }
  if (facts && histories_.cpu_changed) cpu_record_.save(pack_history(histories_.cpu));
  // In this order: the history is of figures that have the losses in them.
  if (facts && histories_.io_losses_changed) io_losses_record_.save(histories_.io_losses.pack());
  if (facts && histories_.io_changed) io_record_.save(pack_io_history(histories_.io));
  if (facts && histories_.events_changed) events_record_.save(pack_events(histories_.events));
  if (facts && needs & (kNeedTasks | kNeedLoad)) facts.value().tasks = tasks(needs, now_us);
  return facts;
}

bool Container::busy() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  return !lock.owns_lock();
}

Result<Facts> Container::facts(uint32_t needs, uint64_t now_us) {
  const std::lock_guard lock(mutex_);
  return gather_locked(needs, now_us);
}

bool Container::may_have_other_limits() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return true;
  const auto writes = limit_writes_locked(kAnyCpus);
  return writes && writes != cpu_limit_writes_;
}

bool Container::limits_changed(uint64_t now_us) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  const auto writes = limit_writes_locked(kAnyCpus);
  if (!writes || writes == cpu_limit_writes_) return true;
  cpu_limit_writes_ = writes;
  // Which CPUs there are is all that this asks for; the history takes note of it.
  static_cast<void>(gather_locked(kNeedCpus, now_us));
  return true;
}

std::shared_ptr<TaskLoad> Container::task_load() {
  const std::lock_guard lock(task_load_mutex_);
  if (!task_load_) {
    CountedCgroup cgroup;
    cgroup.v1 = controller_of(description_.id.hierarchy());
    cgroup.id = description_.id.cgroup_id();
    cgroup.path = description_.cgroup;
    cgroup.pid_namespace = description_.namespaces.pid;
    task_load_ = std::make_shared<TaskLoad>(std::move(cgroup), description_.id.packed(),
                                            life_.starts(), services_.state);
    if (has_ended()) task_load_->end();
  }
  return task_load_;
}

TaskFacts Container::tasks(uint32_t needs, uint64_t now_us) {
  if (dead()) return {};
  const auto load = task_load();
  if (services_.sampler != nullptr) {
    services_.sampler->note_read(load, now_us);
    if ((needs & kNeedLoad) != 0) {
      services_.sampler->refresh(now_us);
      load->wait(kFirstLoadWait);
    }
  }
  return load->latest();
}

void Container::mark_dead() {
  dead_.store(true, std::memory_order_release);
  const std::lock_guard lock(task_load_mutex_);
  if (task_load_ && has_ended()) task_load_->end();
}

std::optional<uint64_t> Container::limit_writes_locked(uint32_t needs) const {
  if (!source_) return std::nullopt;
  return source_->limit_writes(needs);
}

bool Container::is_current_locked(uint32_t needs, const CacheStamp& stamp, uint64_t now_us,
                                  uint64_t tick_us) const {
  if (now_us >= stamp.taken_us + tick_us || dead() || !source_) return false;
  source_->drain();
  return limit_writes_locked(needs) == stamp.writes;
}

template <typename T, typename Make>
Result<T> Container::cached_locked(std::optional<Cached<T>>& cached, uint32_t needs,
                                   uint64_t now_us, uint64_t tick_us, Make make) {
  if (cached && is_current_locked(needs, *cached, now_us, tick_us)) return cached->value;
  // Counted before the limits are read: what is written meanwhile is not in this.
  const auto writes = limit_writes_locked(needs);
  const uint64_t opened = sources_opened_;
  Result<T> made = make();
  if (!made || !writes || opened != sources_opened_) {
    cached.reset();
    return made;
  }
  renew(cached, taken_us_, *writes) = made.value();
  return made;
}

Result<std::string> Container::render_shared(const View& view, uint64_t now_us, uint64_t tick_us,
                                             bool& made) {
  const std::lock_guard lock(mutex_);
  made = false;
  return cached_locked(shared_[view.index], view.needs, now_us, tick_us, [&] {
    made = true;
    return render_locked(view, now_us, tick_us);
  });
}

Result<CpuSet> Container::shown_cpus(uint64_t now_us, uint64_t tick_us) {
  const std::lock_guard lock(mutex_);
  return cached_locked(shown_, kNeedCpus, now_us, tick_us, [&]() -> Result<CpuSet> {
    auto facts = gather_locked(kNeedCpus, now_us, tick_us);
    if (!facts) return facts.error();
    return std::move(facts.value().shown_cpus);
  });
}

Result<Container::RecentText> Container::render_recent(const View& view, uint64_t now_us,
                                                       uint64_t tick_us, const MadeOf& before) {
  const bool by_limits = view.changes == Changes::kWithLimits;
  const std::lock_guard lock(mutex_);
  auto facts = gather_locked(by_limits ? view.needs | kNeedCpus : view.needs, now_us, tick_us);
  if (!facts) return facts.error();
  RecentText made;
  made.taken_us = taken_us_;
  const auto& cpuinfo = facts.value().host_cpuinfo;
  const bool is_same = by_limits && cpuinfo && cpuinfo == before.cpuinfo.lock() &&
                       facts.value().shown_cpus == before.cpus;
  if (!is_same) made.text = text_of(view, facts.value());
  if (by_limits) made.made_of = {std::move(facts.value().shown_cpus), cpuinfo};
  return made;
}

Result<Container::CallFacts> Container::call_facts(uint64_t now_us, uint64_t tick_us) {
  constexpr uint32_t kNeeds = kSysinfoNeeds | kNeedCpus;
  const std::lock_guard lock(mutex_);
  return cached_locked(call_facts_, kNeeds, now_us, tick_us, [&]() -> Result<CallFacts> {
    auto facts = gather_locked(kNeeds, now_us, tick_us);
    if (!facts) return facts.error();
    return CallFacts{sysinfo_figures(facts.value()), std::move(facts.value().shown_cpus)};
  });
}

Result<std::string> Container::render_locked(const View& view, uint64_t now_us, uint64_t tick_us) {
  auto facts = gather_locked(view.needs, now_us, tick_us);
  if (!facts) return facts.error();
  return text_of(view, facts.value());
}

Result<std::string> Container::render_for(const View& view, uint64_t now_us,
                                          const PidNamespaceClock& clock) {
  const std::lock_guard lock(mutex_);
  const IdleAtAge before = last_idle(histories_.cpu);
  auto facts = gather_locked(view.needs, now_us);
  if (!facts) return facts.error();
  const ContainerClock callers{now_us, clock.init_start_us, clock.offset_us};
  ClockFacts& shown = facts.value().clock;
  const uint64_t age_us = shown.uptime_us;
  shown.uptime_us = uptime_of(callers);
  if (const auto& host = facts.value().host_stat) shown.btime_s = btime_of(callers, host->btime_s);
  const auto noted = life_.idle_before(clock.init_start_us);
  shown.idle_before_us =
      noted ? *noted : idle_before(saturating_sub(age_us, shown.uptime_us), before, histories_.cpu);
  // Where its clock has not begun it is not known when that will be.
  if (!noted && shown.uptime_us > 0) {
    life_.note_idle_before(clock.init_start_us, shown.idle_before_us);
  }
  return text_of(view, facts.value());
}

Result<std::string> Container::render(const View& view, uint64_t now_us) {
  const std::lock_guard lock(mutex_);
  return render_locked(view, now_us);
}

}  // namespace vprocfs
