#include "engine/engine.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "base/attempts.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/priority.h"
#include "node/tree_lines.h"

namespace vprocfs {
namespace {

/// Of the connection whose files are polled: a flood of polls, which are answered at once and take
/// no turns, is to keep no CPU from those who read.
constexpr size_t kPolledThreads = 4;

/// How long notices may take at the end, and again as long those that have begun. Together less
/// than a keeper lets us hand over (KeeperOptions::drain_ms).
constexpr std::chrono::milliseconds kSettle{500};

/// How long one of our threads that all need waits for what one container may keep from ending.
constexpr uint64_t kAttemptUs = 250'000;

ResourceLimits limits_of(const ServerOptions& options, uint64_t descriptors) {
  constexpr uint64_t kMib = uint64_t{1} << 20, kFiles = 65536;
  constexpr uint64_t kWaitingPerTenant = 16384, kWaitingTotal = 65536;
  ResourceLimits limits;
  const auto at = [&limits](Resource r) -> ResourceLimit& {
    return limits[static_cast<size_t>(r)];
  };
  at(Resource::kOpenFiles) = {options.max_open_per_tenant,
                              std::min<uint64_t>(64, options.max_open_per_tenant), kFiles};
  // A tenant whose snapshots take more together gets ENFILE.
  at(Resource::kHeldBytes) = {16 * kMib, kMib / 4, 128 * kMib};
  at(Resource::kWaiting) = {kWaitingPerTenant, 256, kWaitingTotal};
  limit_descriptors(descriptors, options.max_triggers_per_tenant, limits);
  return limits;
}

/// What all tenants together have while others want the CPUs: a quarter of them, or what one of
/// them may have.
uint64_t total_cpu_limit_us(uint64_t tenant_cpu_us) {
  const auto cpus = static_cast<uint64_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  return std::max(tenant_cpu_us / Tenant::kContendedDivisor, cpus * 1'000'000 / 4);
}

}  // namespace

Engine::Engine(EngineOptions options, Loop::OnEnd on_end, OnFeatures on_features,
               std::function<void()> on_more_cpus)
    : options_(std::move(options)),
      on_end_(std::move(on_end)),
      on_features_(std::move(on_features)),
      more_cpus_(std::move(on_more_cpus)),
      metrics_socket_(options_.metrics_address) {}

Engine::~Engine() {
  // What a keeper has mounted stays: another worker will serve it.
  if (started_) static_cast<void>(stop(options_.plain.fuse_fd < 0));
  for (ServedConnection* served : {polled_.get(), plain_.get()}) {
    if (served != nullptr) served->close();
  }
}

Result<bool> Engine::connect() {
  plain_ = std::make_unique<ServedConnection>(ServedConnection::Options{
      options_.plain, options_.type, options_.source, options_.max_threads, options_.server});
  auto connected = plain_->connect();
  if (!connected) return connected;
  // Once under a keeper that has one, for ever: the kernel does not ask here any more.
  plain_->server_options().polls = plain_->connection().polled_elsewhere == 0;
  if (!options_.polled.mountpoint.empty()) connect_polled();
  return true;
}

void Engine::connect_polled() {
  ServerOptions server = options_.server;
  server.connection = 1;
  auto polled = std::make_unique<ServedConnection>(
      ServedConnection::Options{options_.polled, options_.type, options_.source,
                                std::min(options_.max_threads, kPolledThreads), std::move(server)});
  auto connected = polled->connect();
  if (!connected) {
    polled_problem_ = problem_of(connected.error());
    return;
  }
  polled_ = std::move(polled);
  plain_->server_options().polls = false;
  plain_->server_options().polled_place = [this](uint32_t pid) {
    return polled_->place_for(host_->procfs.get(), pid);
  };
}

void Engine::make_servers() {
  const auto has = [this](const std::string& path) { return host_source_->has(path); };
  open_logs();
  const bool elsewhere = !plain_->server_options().polls;
  plain_->make_server(*registry_, *host_source_,
                      Tree(has, elsewhere ? is_polled : std::function<bool(const View&)>()));
  if (!polled_) return;
  // In tick the kernel does not tell of opens, and each reader has a place of its own.
  const bool logs = logs_ && !options_.server.tick && polled_->connection().tick == 0;
  if (logs) {
    polled_->server_options().kernel_logs = {logs_.get(), banner(), host_->procfs.get()};
  }
  polled_->make_server(*registry_, *host_source_, Tree::of_polled(has, logs));
}

std::vector<std::string> Engine::tree_lines() const {
  if (!active()) return {};
  return vprocfs::tree_lines(plain_->server()->tree(),
                             polled_ ? &polled_->server()->tree() : nullptr);
}

bool Engine::limits_changed() {
  bool all = true;
  for (const auto& container : registry_->known()) {
    bool has_copies = false;
    for_each_started(
        [&](Server& server) { has_copies = has_copies || server.has_copies(*container); });
    if (!has_copies && !container->may_have_other_limits()) continue;
    // One whose cgroup does not answer must not keep the others waiting.
    const auto look = [this, container] {
      bool is_done = container->limits_changed(boottime_us());
      for_each_started(
          [&](Server& server) { is_done = server.limits_changed(container) && is_done; });
      return is_done;
    };
    const auto payer = PromptResolver::payer_of(container->description().tenant_identity);
    all = attempts_->ask<bool>(payer, look).value_or(false) && all;
  }
  return all;
}

Result<bool> Engine::prepare() {
  const uint64_t cpu_us = options_.server.cpu_us_per_second;
  shared_resources_ = std::make_unique<SharedResources>(
      limits_of(options_.server, raise_descriptor_limit()), cpu_us / Tenant::kContendedDivisor,
      total_cpu_limit_us(cpu_us));
  auto host = Host::open();
  if (!host) return host.error();
  host_ = std::move(host.value());
  notifier_ = ChangeNotifier::open();
  host_source_ = std::make_unique<HostSource>(host_->procfs.get(), host_->sysfs.get(),
                                              options_.server.tick_us);
  // A worker that cannot read the host cannot serve: better found out before it takes over.
  for (const View* view = views_begin(); view != views_end(); ++view) {
    const std::string path(view->path);
    if (!host_source_->has(path)) continue;
    auto text = host_source_->raw(path);
    if (!text && text.error().code != EOPNOTSUPP) return text.error();
  }
  host_source_->warm_up(boottime_us());
  // Early: what ends from now on is known when we take over.
  if (options_.kernel_log && options_.bpf) {
    auto exited = ExitedTasks::open(host_->sysfs.get());
    if (exited) exited_ = std::move(exited.value());
    if (!exited) exited_problem_ = problem_of(exited.error());
  }
  return true;
}

Result<bool> Engine::start_agent(FdStore* fd_store) {
  std::vector<FdStore::Entry> stored;
  if (fd_store != nullptr) {
    auto all = fd_store->all();
    if (!all) return all.error();
    stored = std::move(all.value());
  }
  metrics_socket_.adopt(fd_store, stored);
  if (options_.agent.directory.empty()) return true;
  AgentOptions agent = options_.agent;
  agent.answers.tick_us = options_.server.tick_us;
  agent.answers.procfs_fd = host_->procfs.get();
  agent.answers.logs = logs_.get();
  agent.answers.banner = prompt_banner();
  agent.on_listen_problem = on_features_;
  auto made = std::make_unique<Agent>(std::move(agent), *registry_, fd_store);
  auto prepared = made->prepare(std::move(stored));
  // Files are served all the same.
  if (!prepared) {
    agent_problem_ = problem_of(prepared.error());
    return true;
  }
  agent_ = std::move(made);
  return agent_->start();
}

Result<bool> Engine::activate(FdStore* fd_store) {
  auto connected = connect();
  if (!connected) return connected;
  sampler_ = std::make_unique<Sampler>(host_->counting(options_.bpf));
  attempts_ = std::make_unique<Attempts>(go_first, kAttemptUs);
  SharedServices services;
  services.sampler = sampler_.get();
  services.resources = shared_resources_.get();
  services.sources = &sources_;
  services.more_cpus = &more_cpus_;
  services.attempts = attempts_.get();
  services.mounts = &host_->mounts;
  services.notifier = notifier_.get();
  services.host = host_source_.get();
  services.state = &plain_->state();
  services.procfs_fd = host_->procfs.get();
  services.rates = {options_.server.renders_per_second, options_.agent.calls_per_second,
                    options_.server.cpu_us_per_second};
  registry_ = std::make_unique<Registry>(*host_->resolver, services);
  make_servers();
  started_ = true;
  auto begun = begin(fd_store);
  if (begun) {
    active_.store(true, std::memory_order_release);
  } else {
    // What a keeper has mounted stays: another worker will be tried.
    static_cast<void>(stop(options_.plain.fuse_fd < 0));
  }
  return begun;
}

/// Each step may be refused a thread: those that take requests come late.
Result<bool> Engine::begin(FdStore* fd_store) {
  auto begun = plain_->server()->start_helpers();
  if (begun && polled_) begun = polled_->server()->start_helpers();
  if (begun) begun = sampler_->start();
  if (begun) begun = attempts_->start();
  if (begun) begun = registry_->start([this] { return limits_changed(); });
  // First: links of the plain one lead there.
  if (begun && polled_) begun = polled_->start([this](const auto&) { on_end_(kPolledGone); });
  if (begun) begun = plain_->start(on_end_);
  // The caller may have gone first for all that readers wait for.
  go_along();
  // Callers wait for the agent, and nobody for the log.
  if (begun) begun = start_agent(fd_store);
  if (begun) begun = start_log();
  if (!begun) return begun;
  if (polled_) static_cast<void>(polled_->wait_initialised());
  return plain_->wait_initialised();
}

Result<bool> Engine::stop(bool unmount, Waiting waiting) {
  if (!started_) return false;
  started_ = false;
  bool lazy = false;
  Result<bool> done = true;
  const auto each = [this](auto what) {
    if (polled_) what(*polled_);
    what(*plain_);
  };
  each([](ServedConnection& served) { served.expect_end(); });
  // Without the other one it is of no use, whatever became of that. A keeper sees to it itself.
  const bool whole = unmount || options_.polled.fuse_fd < 0;
  bool ignored = false;
  if (polled_ && whole) static_cast<void>(polled_->unmount(ignored));
  if (unmount) done = plain_->unmount(lazy);
  each([](ServedConnection& served) { served.server()->hurry(); });
  const auto now = std::chrono::steady_clock::now();
  each([&](ServedConnection& served) {
    if (served.started()) served.server()->settle_notices(now + kSettle);
  });
  each([&](ServedConnection& served) {
    if (!served.started()) return;
    served.server()->close_notices(now + 2 * kSettle, !unmount && served.resends());
  });
  // Another worker goes on from where it was. Not before: the notices of one tenant may take long,
  // and others' calls would wait.
  if (log_reader_) log_reader_->stop();
  if (agent_) agent_->stop(unmount);
  each([](ServedConnection& served) { served.refuse_requests(); });
  // Nobody is served from here on until the next one serves: a tenant that has thousands wait must
  // not make that long. Not before: what waits may hold pages that notices wait for.
  each([waiting](ServedConnection& served) {
    if (waiting == Waiting::kLeft && served.resends()) served.server()->leave_waiting();
  });
  each([](ServedConnection& served) { served.stop_requests(); });
  // What waits, also for the other connection: a tenant's turn is one for both.
  each([](ServedConnection& served) { served.server()->stop_turns(); });
  registry_->stop();
  sampler_->stop();
  is_held_ = !attempts_->end();
  each([unmount](ServedConnection& served) {
    served.server()->stop_helpers();
    if (!unmount) served.server()->hand_over_open_files();
  });
  if (!done && done.error().code != EINVAL) return done;
  return lazy;
}

size_t Engine::threads() const {
  if (!active()) return 0;
  return plain_->threads() + (polled_ ? polled_->threads() : 0);
}

void Engine::reinforce() {
  if (!active()) return;
  plain_->reinforce();
  if (polled_) polled_->reinforce();
  if (agent_) agent_->reinforce();
  attempts_->reinforce();
}

bool Engine::serving() const {
  return plain_ && plain_->serving() && (!polled_ || polled_->ended() || polled_->serving());
}

ConnectionState Engine::connection() const {
  return active() ? plain_->connection() : ConnectionState{};
}

std::string Engine::state_ignored() const {
  if (!active()) return {};
  const std::string& plain = plain_->state_ignored();
  return plain.empty() && polled_ ? polled_->state_ignored() : plain;
}

}  // namespace vprocfs
