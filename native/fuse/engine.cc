#include "fuse/engine.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "fuse/mount.h"

namespace vprocfs {
namespace {

constexpr int kInitDeadlineMs = 10000;

Bounds bounds_of(const ServerOptions& options, uint64_t descriptors) {
  constexpr uint64_t kMib = uint64_t{1} << 20, kFiles = 65536;
  constexpr uint64_t kWaitingEach = 16384, kWaitingAll = 65536;
  Bounds bounds;
  const auto at = [&bounds](Resource r) -> Bound& { return bounds[static_cast<size_t>(r)]; };
  at(Resource::kOpenFiles) = {options.max_open_per_tenant,
                              std::min<uint64_t>(64, options.max_open_per_tenant), kFiles};
  at(Resource::kHeldBytes) = {options.max_held_bytes, kMib / 4, 128 * kMib};
  at(Resource::kWaiting) = {kWaitingEach, 256, kWaitingAll};
  bound_descriptors(descriptors, options.max_triggers_per_tenant, bounds);
  return bounds;
}

}  // namespace

Result<std::unique_ptr<Host>> Host::open() {
  auto host = std::make_unique<Host>();
  auto procfs = open_pristine("proc", "/proc");
  if (!procfs) return procfs.error();
  host->procfs = std::move(procfs.value());
  auto sysfs = open_pristine("sysfs", "/sys");
  if (!sysfs) return sysfs.error();
  host->sysfs = std::move(sysfs.value());
  auto mounts = CgroupMounts::discover(host->procfs.get());
  if (!mounts) return mounts.error();
  host->mounts = std::move(mounts.value());
  host->resolver = std::make_unique<Resolver>(host->mounts, host->procfs.get());
  auto opened = host->resolver->open();
  if (!opened) return opened.error();
  return host;
}

namespace {

constexpr uint64_t kFirstCgroupNamespace = 0xEFFFFFFB;  // PROC_CGROUP_INIT_INO
constexpr uint64_t kFirstPidNamespace = 0xEFFFFFFC;     // PROC_PID_INIT_INO

}  // namespace

Counting Host::counting(bool bpf) const {
  const bool first = resolver->own().cgroup == kFirstCgroupNamespace;
  return Counting{&mounts, procfs.get(), sysfs.get(), bpf && first};
}

Engine::Engine(EngineOptions options, Loop::OnEnd on_end)
    : options_(std::move(options)), on_end_(std::move(on_end)) {}

Engine::~Engine() {
  if (loop_) static_cast<void>(stop(true));
}

Result<bool> Engine::connect() {
  if (options_.fuse_fd < 0) {
    auto memory = StateFile::make_memfd();
    if (!memory) return memory.error();
    own_state_fd_ = std::move(memory.value());
  }
  auto state = StateFile::open(options_.fuse_fd < 0 ? own_state_fd_.get() : options_.state_fd,
                               &state_ignored_);
  if (!state) return state.error();
  state_ = std::move(state.value());
  if (options_.fuse_fd < 0) {
    auto fuse =
        mount_fuse(options_.mountpoint, options_.type, options_.source, options_.server.tick);
    if (!fuse) return fuse.error();
    fuse_fd_ = std::move(fuse.value());
    return true;
  }
  if (state_->connection().initialised != 1) return Error{EPROTO, "inherited connection"};
  if (resend()) {
    fuse_fd_ = Fd(::fcntl(options_.fuse_fd, F_DUPFD_CLOEXEC, 3));
    if (!fuse_fd_) return Error{errno, "inherited FUSE descriptor"};
    return true;
  }
  // Without resend (before 6.9) requests that we took must fail when we die rather than wait for
  // ever: they do when the descriptor that they were read from closes, so it has to be ours alone.
  fuse_fd_ = Fd(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  uint32_t from = static_cast<uint32_t>(options_.fuse_fd);
  if (!fuse_fd_ || ::ioctl(fuse_fd_.get(), FUSE_DEV_IOC_CLONE, &from) != 0) {
    return Error{errno, "/dev/fuse clone"};
  }
  return true;
}

bool Engine::resend() const { return state_ && (state_->connection().flags & kFuseHasResend) != 0; }

Result<bool> Engine::wait_initialised() {
  for (int i = 0; i < kInitDeadlineMs; ++i) {
    if (state_->connection().initialised == 1) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return Error{ETIMEDOUT, "FUSE INIT"};
}

Result<bool> Engine::prepare() {
  commons_ = std::make_unique<Commons>(bounds_of(options_.server, raise_descriptor_limit()));
  auto host = Host::open();
  if (!host) return host.error();
  host_ = std::move(host.value());
  notifier_ = make_inotify_notifier();
  host_source_ = std::make_unique<HostSource>(host_->procfs.get(), host_->sysfs.get(),
                                              options_.server.tick_us);
  // A worker that cannot read the host cannot serve: better found out before it takes over.
  for (const View* view = views_begin(); view != views_end(); ++view) {
    const std::string path(view->path);
    if (!host_source_->has(path)) continue;
    auto text = host_source_->raw(path);
    if (!text && text.error().code != EOPNOTSUPP) return text.error();
  }
  // Early: what ends from now on is known when we take over.
  if (options_.kernel_log && options_.bpf) {
    auto exited = ExitedTasks::open(host_->sysfs.get());
    if (exited) exited_ = std::move(exited.value());
  }
  return true;
}

Result<bool> Engine::start_agent(Safe* safe) {
  if (options_.agent.directory.empty()) return true;
  std::vector<Safe::Kept> kept;
  if (safe != nullptr) {
    auto all = safe->all();
    if (!all) return all.error();
    kept = std::move(all.value());
  }
  AgentOptions agent = options_.agent;
  agent.answers.tick_us = options_.server.tick_us;
  agent.answers.procfs_fd = host_->procfs.get();
  auto made = std::make_unique<Agent>(std::move(agent), *registry_, safe);
  auto started = made->start(std::move(kept));
  // Files are served all the same.
  if (!started) {
    agent_problem_ = started.error().path + ": " + std::strerror(started.error().code);
  } else {
    agent_ = std::move(made);
  }
  return true;
}

BannerFacts Engine::banner(const ContainerDescription& description) {
  BannerFacts out;
  utsname system{};
  if (::uname(&system) == 0) {
    out.release = system.release;
    out.version = system.version;
  }
  const int64_t started = static_cast<int64_t>(description.init_start_us) -
                          static_cast<int64_t>(log_clock_behind_us()) +
                          description.boottime_offset_us;
  out.time_us = static_cast<uint64_t>(std::max<int64_t>(started, 0));
  const auto container = registry_->by_id(description.id);
  if (!container) return out;
  const auto facts = container.value()->call_facts(boottime_us(), options_.server.tick_us);
  if (!facts) return out;
  constexpr uint64_t kKb = 1024;
  out.cpus = facts.value().shown_cpus.size();
  out.memory_kb = facts.value().sysinfo.total / kKb;
  out.swap_kb = facts.value().sysinfo.swap_total / kKb;
  return out;
}

void Engine::start_log() {
  LogReader::Place place;
  place.mounts = &host_->mounts;
  place.resolver = host_->resolver.get();
  place.procfs_fd = host_->procfs.get();
  if (options_.kernel_log) {
    logs_ = std::make_unique<KernelLogs>(*state_);
    logs_->adopt();
    // Elsewhere PIDs and paths in the log are not what we know by these names.
    const NamespaceIds& own = host_->resolver->own();
    const bool first = own.pid == kFirstPidNamespace && own.cgroup == kFirstCgroupNamespace;
    if (first) place.logs = logs_.get();
    place.exited = std::move(exited_);
    if (!first) log_problem_ = "not in the first PID and cgroup namespaces of the host";
    place.banner = [this](const ContainerDescription& description) { return banner(description); };
  }
  log_reader_ = std::make_shared<LogReader>(std::move(place));
  if (options_.kernel_log && log_problem_.empty()) log_problem_ = log_reader_->problem();
  log_reader_->start();
}

Result<KernelLogs::Page> Engine::kernel_log(ContainerId id, uint64_t from, size_t most) {
  if (!logs_) return Error{ENOTSUP, "kernel log"};
  KernelLogs::Page page;
  if (logs_->read(id, from, most, page)) return page;
  const auto container = registry_->by_id(id);
  if (!container) return container.error();
  page.next = kBannerLines;
  uint64_t sequence = 0;
  for (OwnLine& line : banner_lines(banner(container.value()->description()))) {
    const uint64_t number = sequence++;
    if (number < from || page.records.size() >= most) continue;
    page.records.push_back({number, line.time_us, line.priority, std::move(line.text)});
  }
  return page;
}

Result<bool> Engine::activate(Safe* safe) {
  auto connected = connect();
  if (!connected) return connected;
  sampler_ = std::make_unique<Sampler>(host_->counting(options_.bpf));
  Surroundings around;
  around.sampler = sampler_.get();
  around.commons = commons_.get();
  around.sources = &sources_;
  around.mounts = &host_->mounts;
  around.notifier = notifier_.get();
  around.host = host_source_.get();
  around.state = state_.get();
  around.procfs_fd = host_->procfs.get();
  around.renders_per_second = options_.server.renders_per_second;
  around.calls_per_second = options_.agent.calls_per_second;
  registry_ = std::make_unique<Registry>(*host_->resolver, around);
  reply_ = std::make_unique<Reply>(fuse_fd_.get());
  server_ = std::make_unique<Server>(*reply_, *registry_, *host_source_, *state_, options_.server);
  sampler_->start();
  server_->start_helpers();
  auto watching = registry_->start([this] { server_->limits_changed(); });
  if (!watching) return watching;
  server_->adopt_open_files();
  loop_ = std::make_unique<Loop>(
      fuse_fd_.get(), options_.max_threads, [this](const Request& r) { server_->handle(r); },
      on_end_);
  // Before we take any: what is handed again is then what others took, and nothing of ours.
  if (options_.fuse_fd >= 0 && resend()) reply_->notify_resend();
  loop_->start();
  start_log();
  auto answering = start_agent(safe);
  if (!answering) return answering;
  auto initialised = wait_initialised();
  if (initialised) active_.store(true, std::memory_order_release);
  return initialised;
}

Result<bool> Engine::stop(bool unmount) {
  if (!loop_) return false;
  bool lazy = false;
  Result<bool> done = true;
  loop_->expect_end();
  // Another worker goes on from where it was.
  if (log_reader_) log_reader_->stop();
  if (agent_) agent_->stop(unmount);
  if (unmount) done = unmount_fuse(options_.mountpoint, lazy);
  loop_->stop();
  {
    const std::lock_guard lock(loop_mutex_);
    loop_.reset();
  }
  registry_->stop();
  sampler_->stop();
  server_->stop_helpers();
  if (!unmount) server_->hand_over_open_files();
  if (!done && done.error().code != EINVAL) return done;
  return lazy;
}

size_t Engine::threads() const {
  if (!active()) return 0;
  const std::lock_guard lock(loop_mutex_);
  return loop_ ? loop_->threads() : 0;
}

ConnectionState Engine::connection() const {
  return active() ? state_->connection() : ConnectionState{};
}

}  // namespace vprocfs
