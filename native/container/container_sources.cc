// Which cgroups a container is read from: its host may move it to others in some hierarchies of v1.

#include <utility>

#include "base/wide.h"
#include "container/container.h"
#include "container/cpu_move.h"
#include "container/history_record.h"
#include "container/open_sources.h"

namespace vprocfs {
namespace {

// How often one that is read is looked for in other cgroups.
constexpr uint64_t kLookEveryUs = 1'000'000;

}  // namespace

void Container::drop_cached_locked() {
  moves_.close();
  recent_cpus_.reset();
  recent_memory_.reset();
  // Whoever gathers for one of these goes on with it.
  for (auto& [index, cached] : shared_) cached.reset();
  call_facts_.reset();
  shown_.reset();
  cpu_limit_writes_.reset();
}

std::unique_ptr<ContainerSource> Container::take_idle_source() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return nullptr;
  drop_cached_locked();
  if (is_attached_.load(std::memory_order_acquire)) attached_->drop_texts();
  return std::move(source_);
}

void Container::drop_source_locked() {
  drop_cached_locked();
  if (!source_) return;
  if (const auto usage = source_->cpu_usage()) note_last(histories_.cpu, usage.value());
  source_.reset();
  if (services_.sources != nullptr) services_.sources->closed(*this);
}

void Container::take_moves_locked(uint64_t now_us) {
  looked_us_ = now_us;
  auto moved = moves_.find(description_, paths_);
  if (!moved) {
    there_us_ = now_us;
    return;
  }
  drop_source_locked();
  paths_ = std::move(*moved);
}

namespace {

Result<std::unique_ptr<ContainerSource>> open_source_of(const SharedServices& services,
                                                        const CgroupPaths& paths, uint64_t now_us) {
  const auto hugepage_kb = services.host->hugepage_kb(now_us);
  // Without them the source would have none as long as it lives.
  if (!hugepage_kb) return hugepage_kb.error();
  return ContainerSource::open(*services.mounts, paths, services.notifier, hugepage_kb.value());
}

}  // namespace

std::optional<Error> Container::open_source_locked(uint64_t now_us) {
  if (dead()) {
    if (!source_) moves_.close();
    return Error{ESRCH, description_.cgroup};
  }
  used_us_.store(now_us, std::memory_order_relaxed);
  if (now_us >= looked_us_ + kLookEveryUs) take_moves_locked(now_us);
  if (source_) return std::nullopt;
  if (services_.sources != nullptr) services_.sources->opening(*this);
  auto source = open_source_of(services_, paths_, now_us);
  if (source) {
    source_ = std::move(source.value());
    ++sources_opened_;
  }
  auto error = source ? begin_cpu_time_locked(now_us) : source.error();
  if (!error) return std::nullopt;
  moves_.close();
  source_.reset();
  if (services_.sources != nullptr) services_.sources->closed(*this);
  return error;
}

std::optional<Error> Container::begin_cpu_time_locked(uint64_t now_us) {
  const CpuPlaces now = source_->cpu_places();
  const CpuPlaces before = cpu_places_.value_or(now);
  // Of an earlier worker, and the container may have been moved before this one began.
  const bool is_inherited =
      !cpu_places_ && histories_.cpu.uptime_us != 0 && !paths_.in(Controller::kCpuacct).empty();
  const bool is_moved = now.time != before.time || now.quota != before.quota;
  if (is_inherited || is_moved) {
    const auto usage = source_->cpu_usage();
    if (!usage) return usage.error();
    const auto cpus = services_.host->cpus(now_us);
    if (!cpus) return cpus.error();
    if (is_inherited) go_on(histories_.cpu, usage.value());
    cpu_moves_.begin_elsewhere(histories_.cpu, usage.value(), before, now,
                               saturating_sub(now_us, there_us_), cpus.value()->online.size());
    cpu_record_.save(pack_history(histories_.cpu));
  }
  cpu_places_ = now;
  there_us_ = now_us;
  return std::nullopt;
}

}  // namespace vprocfs
