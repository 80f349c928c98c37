// The engine's part in containers' kernel logs.

#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"

namespace vprocfs {
namespace {

/// When it started by its own clock, as the log tells the time.
uint64_t started_us(const PidNamespaceClock& clock) {
  // Without a suspend that is 0 for each worker, and the upper bound is not.
  const int64_t started = static_cast<int64_t>(clock.init_start_us) -
                          static_cast<int64_t>(boottime_ahead().least_us) + clock.offset_us;
  return static_cast<uint64_t>(std::max<int64_t>(started, 0));
}

std::vector<OwnLine> lines_of(BannerFacts facts) {
  utsname system{};
  if (::uname(&system) == 0) {
    facts.release = system.release;
    facts.version = system.version;
  }
  return banner_lines(facts);
}

BannerFacts without_figures(const ContainerDescription& description) {
  BannerFacts out;
  out.time_us = started_us({description.init_start_us, description.boottime_offset_us});
  return out;
}

}  // namespace

void Engine::open_logs() {
  if (!options_.kernel_log) return;
  logs_ = std::make_unique<KernelLogs>(
      plain_->state(), [this](ContainerId id, const TenantIdentity& tenant) {
        // Whoever asks keeps others from making room for a log.
        const PromptResolver resolver(*host_->resolver, attempts_.get());
        return resolver.exists(id, PromptResolver::payer_of(tenant));
      });
  logs_->adopt();
}

LifeStarts Engine::starts_of(const ContainerDescription& found) const {
  const auto known = registry_->known(found.id);
  if (known && known->starts().has(found.init_start_us)) return known->starts();
  return Life::starts_of(plain_->state(), host_->procfs.get(), found);
}

BannerFacts Engine::banner_facts(const ContainerDescription& description) {
  BannerFacts out = without_figures(description);
  const auto container = registry_->by_id(description.id);
  if (!container) return out;
  out.time_us = started_us(container.value()->clock());
  const auto facts = container.value()->call_facts(boottime_us(), options_.server.tick_us);
  if (!facts) return out;
  constexpr uint64_t kKb = 1024;
  out.cpus = facts.value().shown_cpus.size();
  out.memory_kb = facts.value().sysinfo.total / kKb;
  out.swap_kb = facts.value().sysinfo.swap_total / kKb;
  return out;
}

BannerOf Engine::banner() {
  return [this](const ContainerDescription& description) {
    return lines_of(banner_facts(description));
  };
}

BannerOf Engine::prompt_banner() {
  return [this](const ContainerDescription& description) {
    const auto make = [this, description] { return banner_facts(description); };
    auto facts =
        attempts_->ask<BannerFacts>(PromptResolver::payer_of(description.tenant_identity), make);
    return lines_of(facts ? std::move(*facts) : without_figures(description));
  };
}

Result<bool> Engine::start_log() {
  LogReader::Sources sources;
  sources.mounts = &host_->mounts;
  sources.resolver = host_->resolver.get();
  sources.procfs_fd = host_->procfs.get();
  sources.attempts = attempts_.get();
  sources.starts_of = [this](const ContainerDescription& found) { return starts_of(found); };
  if (options_.kernel_log) {
    // Elsewhere PIDs and paths in the log are not what we know by these names.
    const bool first = host_->has_first_pids() && host_->has_first_cgroups();
    if (first) sources.logs = logs_.get();
    sources.exited = std::move(exited_);
    sources.exited_problem = exited_problem_;
    if (!first) log_problem_ = "not in the host's initial PID and cgroup namespaces";
    sources.banner = prompt_banner();
    sources.on_begun = on_features_;
  }
  log_reader_ = std::make_shared<LogReader>(std::move(sources));
  if (options_.kernel_log && log_problem_.empty()) log_problem_ = log_reader_->problem();
  return log_reader_->start();
}

Result<KernelLogs::Page> Engine::kernel_log(ContainerId id, uint64_t from, size_t max_records) {
  if (!logs_) return Error{ENOTSUP, "kernel log"};
  KernelLogs::Page page;
  if (logs_->read(id, from, max_records, page)) {
    // A log is there for a while longer than its container, and whoever follows it has all by now.
    const bool is_over = page.records.empty() && !host_->resolver->exists(id);
    return is_over ? Result<KernelLogs::Page>(Error{ESRCH, id.name()}) : std::move(page);
  }
  const auto container = registry_->for_operator(id);
  if (!container) return container.error();
  page.next = kBannerLines;
  uint64_t sequence = 0;
  for (OwnLine& line : banner()(container.value()->description())) {
    const uint64_t number = sequence++;
    if (number < from || page.records.size() >= max_records) continue;
    page.records.push_back({number, line.time_us, line.priority, std::move(line.text)});
  }
  return page;
}

}  // namespace vprocfs
