#include "source/container_source.h"

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "source/controllers.h"
#include "source/pressure.h"

namespace vprocfs {

/// One source per controller; nullptr where no hierarchy has it.
struct ContainerSource::Parts {
  ChangeNotifier* notifier = nullptr;
  ReadBuffer buffer;
  DirPtr bandwidth_dir;
  bool memory_is_own = false;  ///< and not the hierarchy's root
  std::unique_ptr<MemorySource> memory;
  std::unique_ptr<HugetlbSource> hugetlb;
  std::unique_ptr<BandwidthSource> bandwidth;
  std::unique_ptr<CpuTimeSource> cpu_time;
  std::unique_ptr<CpusetSource> cpuset;
  const Hierarchy* v2 = nullptr;  ///< nullptr: none, or the container is not in it
  std::string v2_path;
  std::unique_ptr<PressureSource> pressure;  ///< nullptr until it is asked for
  std::unique_ptr<IoSource> io;
  bool io_has_limits = false;  ///< v2: whose changes the notifier tells
  /// Where to open what few ask for.
  DirPtr memory_dir, cpuset_dir;
  bool memory_v2 = false, cpuset_v2 = false;
  std::unique_ptr<CpusetSource> memset;
  std::unique_ptr<NumaSource> numa;

  bool joined = false, drained = false;

  void drain() {
    if (notifier == nullptr || (joined && drained)) return;
    notifier->drain();
    drained = true;
  }
};

namespace {

/// Opens the container's cgroup of each hierarchy once, whatever the number of controllers in it.
class Opener {
 public:
  Opener(const CgroupMounts& mounts, const CgroupPaths& paths) : mounts_(mounts), paths_(paths) {}

  struct Place {
    DirPtr dir;  ///< nullptr: no such hierarchy, or the container is not in it
    bool v2 = false;
  };

  /// The place of `controller`. One that is nowhere yet may be enabled on cgroup2 later, so that
  /// is where it is looked for then; `now` says that only one which is there counts.
  Place of(Controller controller, bool now, Error& error) {
    const Hierarchy* tree = mounts_.of(controller);
    if (tree == nullptr && !now) tree = mounts_.v2();
    if (tree == nullptr) return {};
    const std::string& path = tree->v2 ? paths_.v2 : paths_.v1[static_cast<size_t>(controller)];
    if (path.empty()) return {};
    const size_t index = static_cast<size_t>(tree - mounts_.all().data());
    if (index >= opened_.size()) opened_.resize(mounts_.all().size());
    if (!opened_[index]) {
      auto dir = CgroupDir::open(*tree, path);
      if (!dir) {
        error = dir.error();
        return {};
      }
      opened_[index] = std::move(dir.value());
    }
    return {opened_[index], tree->v2};
  }

 private:
  const CgroupMounts& mounts_;
  const CgroupPaths& paths_;
  std::vector<DirPtr> opened_;
};

}  // namespace

ContainerSource::ContainerSource(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ContainerSource::~ContainerSource() = default;

Result<std::unique_ptr<ContainerSource>> ContainerSource::open(
    const CgroupMounts& mounts, const CgroupPaths& paths, ChangeNotifier* notifier,
    const std::vector<uint64_t>& hugepage_kb) {
  auto parts = std::make_unique<Parts>();
  parts->notifier = notifier;
  Opener opener(mounts, paths);
  Error error;
  if (const auto at = opener.of(Controller::kMemory, false, error); at.dir) {
    parts->memory_is_own = at.dir->depth() > 0;
    parts->memory = at.v2 ? make_memory_v2(at.dir, notifier) : make_memory_v1(at.dir, notifier);
    parts->memory_dir = at.dir;
    parts->memory_v2 = at.v2;
  }
  if (const auto at = opener.of(Controller::kHugetlb, true, error);
      at.dir && !hugepage_kb.empty()) {
    parts->hugetlb = make_hugetlb(at.dir, notifier, at.v2, hugepage_kb);
  }
  if (const auto at = opener.of(Controller::kCpu, false, error); at.dir) {
    parts->bandwidth_dir = at.dir;
    parts->bandwidth =
        at.v2 ? make_bandwidth_v2(at.dir, notifier) : make_bandwidth_v1(at.dir, notifier);
  }
  if (const auto at = opener.of(Controller::kCpuacct, false, error); at.dir) {
    parts->cpu_time = at.v2 ? make_cpu_time_v2(at.dir) : make_cpu_time_v1(at.dir);
  }
  if (const auto at = opener.of(Controller::kCpuset, false, error); at.dir) {
    parts->cpuset = make_cpuset(at.dir, notifier, at.v2);
    parts->cpuset_dir = at.dir;
    parts->cpuset_v2 = at.v2;
  }
  // What the root counts is the node's.
  if (const auto at = opener.of(Controller::kIo, false, error); at.dir && at.dir->depth() > 0) {
    parts->io = at.v2 ? make_io_v2(at.dir, notifier) : make_io_v1(at.dir);
    parts->io_has_limits = at.v2;
  }
  if (error.code != 0) return error;
  parts->v2 = paths.v2.empty() ? nullptr : mounts.v2();
  parts->v2_path = paths.v2;
  return std::unique_ptr<ContainerSource>(new ContainerSource(std::move(parts)));
}

ContainerSource::Joined::Joined(ContainerSource& source) : source_(source) {
  source_.parts_->joined = true;
  source_.parts_->drained = false;
}

ContainerSource::Joined::~Joined() { source_.parts_->joined = false; }

Result<MemoryFacts> ContainerSource::memory(MemoryEvents events, const HostMemorySize& host) {
  MemoryFacts none;
  if (!parts_->memory && !parts_->hugetlb) return none;
  parts_->drain();
  auto facts = parts_->memory
                   ? parts_->memory->read(
                         parts_->buffer, parts_->memory_is_own ? events : MemoryEvents::kNone, host)
                   : std::move(none);
  if (!facts || !parts_->hugetlb) return facts;
  auto hugetlb = parts_->hugetlb->read(parts_->buffer);
  if (!hugetlb) return hugetlb.error();
  facts.value().hugetlb = std::move(hugetlb.value());
  return facts;
}

Result<CpuLimitFacts> ContainerSource::cpu_limits() {
  CpuLimitFacts facts;
  if (!parts_->bandwidth && !parts_->cpuset) return facts;
  parts_->drain();
  if (parts_->bandwidth) {
    auto bandwidth = parts_->bandwidth->read(parts_->buffer);
    if (!bandwidth) return bandwidth.error();
    facts.bandwidth = bandwidth.value();
  }
  if (parts_->cpuset) {
    auto cpuset = parts_->cpuset->read(parts_->buffer);
    if (!cpuset) return cpuset.error();
    facts.cpuset = std::move(cpuset.value());
  } else if (!parts_->bandwidth_dir->alive()) {
    // The quota is cached: only the cpuset's file would have told that the cgroup is gone.
    return parts_->bandwidth_dir->gone();
  }
  return facts;
}

Result<IoFacts> ContainerSource::io(bool with_requests) {
  if (!parts_->io) return IoFacts{};
  if (parts_->io_has_limits) parts_->drain();
  return parts_->io->read(parts_->buffer, with_requests);
}

Result<CpuUsageFacts> ContainerSource::cpu_usage() {
  CpuUsageFacts facts;
  if (parts_->cpu_time) {
    auto usage = parts_->cpu_time->read(parts_->buffer);
    if (!usage) return usage.error();
    facts = std::move(usage.value());
  }
  if (parts_->bandwidth) {
    auto throttled = parts_->bandwidth->throttled_us(parts_->buffer);
    if (!throttled) return throttled.error();
    if (throttled.value()) facts.throttled_us = *throttled.value();
  }
  return facts;
}

Result<PressureSource*> ContainerSource::pressure_source() {
  if (!parts_->pressure) {
    if (parts_->v2 == nullptr) return Error{EOPNOTSUPP, "cgroup2"};
    auto dir = CgroupDir::open(*parts_->v2, parts_->v2_path);
    if (!dir) return dir.error();
    parts_->pressure = std::make_unique<PressureSource>(std::move(dir.value()));
  }
  return parts_->pressure.get();
}

Result<PressureFacts> ContainerSource::pressure(PressureResource resource) {
  auto source = pressure_source();
  if (!source) return source.error();
  return source.value()->read(resource, parts_->buffer);
}

Result<Fd> ContainerSource::open_trigger(PressureResource resource) {
  auto source = pressure_source();
  if (!source) return source.error();
  return source.value()->open_trigger(resource);
}

void ContainerSource::drain() { parts_->drain(); }

std::optional<uint64_t> ContainerSource::limit_writes(bool memory, bool cpus) const {
  const LimitedSource* of_memory[] = {parts_->memory.get(), parts_->hugetlb.get()};
  const LimitedSource* of_cpus[] = {parts_->bandwidth.get(), parts_->cpuset.get()};
  uint64_t total = 0;
  for (const auto& [wanted, sources] : {std::pair(memory, of_memory), std::pair(cpus, of_cpus)}) {
    if (!wanted) continue;
    for (const LimitedSource* source : {sources[0], sources[1]}) {
      if (source == nullptr) continue;
      const auto writes = source->writes();
      if (!writes) return std::nullopt;
      total += *writes;
    }
  }
  return total;
}

Result<NodeLimitFacts> ContainerSource::nodes() {
  NodeLimitFacts facts;
  Parts& p = *parts_;
  if (p.cpuset_dir && !p.memset) p.memset = make_memset(p.cpuset_dir, p.notifier, p.cpuset_v2);
  if (p.memory_dir && !p.numa) p.numa = make_numa(p.memory_dir, p.memory_v2);
  p.drain();
  if (p.memset) {
    auto allowed = p.memset->read(p.buffer);
    if (!allowed) return allowed.error();
    facts.allowed = std::move(allowed.value());
  }
  if (p.numa) {
    auto used = p.numa->read(p.buffer);
    if (!used) return used.error();
    facts.used = std::move(used.value());
  }
  return facts;
}

}  // namespace vprocfs
