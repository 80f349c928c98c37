#include "source/container_source.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "facts/facts.h"
#include "source/controllers.h"
#include "source/pressure.h"

namespace vprocfs {

namespace {

/// Whether a row of facts/cgroup_facts.def is read there.
constexpr bool has_facts(Controller controller) {
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, from) \
  if (std::optional<Controller>(from) == controller) return true;
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS
  return false;
}

/// Figures that are opened when they are first asked for.
template <typename T>
struct Requested {
  std::unique_ptr<FactsSource<T>> source;  ///< nullptr: absent there
  bool is_open = false;
};

}  // namespace

/// One source per controller; nullptr where no hierarchy has it.
struct ContainerSource::Parts {
  ChangeNotifier* notifier = nullptr;
  ReadBuffer buffer;
  DirPtr bandwidth_dir;
  bool cpu_time_is_there = false;  ///< CPU times are from `bandwidth_dir`, too
  CpuPlaces cpu_places;
  uint64_t memory_place = 0;
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
  uint64_t io_place = 0;
  bool io_has_limits = false;  ///< v2: whose changes the notifier tells
  /// Where to open what few ask for, by Controller; of those that have any of it.
  std::array<CgroupPlace, kControllerCount> places;
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) Requested<type> name;
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS

  bool joined = false, drained = false;

  void drain() {
    if (notifier == nullptr || (joined && drained)) return;
    notifier->drain();
    drained = true;
  }

  /// The container's directory in cgroup2, or none. ENOENT/ENODEV: it is gone.
  Result<DirPtr> cgroup2() const {
    for (const CgroupPlace& place : places) {
      if (place.v2) return place.dir;
    }
    return v2 == nullptr ? DirPtr() : CgroupDir::open(*v2, v2_path);
  }

  Result<CgroupPlace> place_of(const std::optional<Controller>& controller) const {
    if (controller) return places[static_cast<size_t>(*controller)];
    auto dir = cgroup2();
    if (!dir) return dir.error();
    // What the root counts is the node's.
    if (!dir.value() || dir.value()->depth() == 0) return CgroupPlace{};
    return CgroupPlace{std::move(dir.value()), true, notifier};
  }

  template <typename T, typename Make>
  Result<T> read(Requested<T>& requested, const std::optional<Controller>& controller, Make make) {
    if (!requested.is_open) {
      auto place = place_of(controller);
      if (!place) return place.error();
      if (place.value().dir) requested.source = make(place.value());
      requested.is_open = true;
    }
    if (!requested.source) return T{};
    drain();
    return requested.source->read(buffer);
  }
};

CgroupPlace CgroupOpener::of(Controller controller, bool now, Error& error) {
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
  return {opened_[index], tree->v2, notifier_};
}

namespace {

uint64_t inode_of(const CgroupDir& dir) {
  struct stat st {};
  return ::fstat(dir.fd(), &st) == 0 ? st.st_ino : 0;
}

}  // namespace

ContainerSource::ContainerSource(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
ContainerSource::~ContainerSource() = default;

Result<std::unique_ptr<ContainerSource>> ContainerSource::open(
    const CgroupMounts& mounts, const CgroupPaths& paths, ChangeNotifier* notifier,
    const std::vector<uint64_t>& hugepage_kb) {
  auto parts = std::make_unique<Parts>();
  parts->notifier = notifier;
  CgroupOpener opener(mounts, paths, notifier);
  Error error;
  const auto open = [&](Controller controller, bool now = false) {
    auto place = opener.of(controller, now, error);
    if (has_facts(controller)) parts->places[static_cast<size_t>(controller)] = place;
    return place;
  };
  if (const auto at = open(Controller::kMemory); at.dir) {
    parts->memory_is_own = at.dir->depth() > 0;
    parts->memory_place = inode_of(*at.dir);
    parts->memory = at.v2 ? make_memory_v2(at.dir, notifier) : make_memory_v1(at.dir, notifier);
  }
  if (const auto at = open(Controller::kHugetlb, true); at.dir && !hugepage_kb.empty()) {
    parts->hugetlb = make_hugetlb(at.dir, notifier, at.v2, hugepage_kb);
  }
  if (const auto at = open(Controller::kCpu); at.dir) {
    parts->bandwidth_dir = at.dir;
    parts->cpu_places.quota = inode_of(*at.dir);
    parts->bandwidth = make_bandwidth(at.dir, notifier, at.v2);
  }
  // What the root counts is the node's.
  if (const auto at = open(Controller::kCpuacct); at.dir && at.dir->depth() > 0) {
    parts->cpu_places.time = inode_of(*at.dir);
    parts->cpu_time_is_there = at.dir == parts->bandwidth_dir;
    parts->cpu_time = at.v2 ? make_cpu_time_v2(at.dir) : make_cpu_time_v1(at.dir);
  }
  if (const auto at = open(Controller::kCpuset); at.dir) {
    parts->cpuset = make_cpuset(at.dir, notifier, at.v2);
  }
  if (const auto at = open(Controller::kIo); at.dir && at.dir->depth() > 0) {
    parts->io = at.v2 ? make_io_v2(at.dir, notifier) : make_io_v1(at.dir);
    parts->io_has_limits = at.v2;
    parts->io_place = inode_of(*at.dir);
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
  auto facts = parts_->io->read(parts_->buffer, with_requests);
  if (facts && facts.value().loses_ended) facts.value().place = parts_->io_place;
  return facts;
}

Result<CpuUsageFacts> ContainerSource::cpu_usage() {
  CpuUsageFacts facts;
  if (parts_->cpu_time) {
    auto usage = parts_->cpu_time->read(parts_->buffer);
    if (!usage) return usage.error();
    facts = std::move(usage.value());
  }
  if (parts_->bandwidth) {
    parts_->drain();
    if (auto error =
            parts_->bandwidth->read_throttled(parts_->buffer, parts_->cpu_time_is_there, facts)) {
      return *error;
    }
  }
  return facts;
}

uint64_t ContainerSource::memory_place() const { return parts_->memory_place; }

const CpuPlaces& ContainerSource::cpu_places() const { return parts_->cpu_places; }

Result<PressureSource*> ContainerSource::pressure_source() {
  if (!parts_->pressure) {
    auto dir = parts_->cgroup2();
    if (!dir) return dir.error();
    if (!dir.value()) return Error{EOPNOTSUPP, "cgroup2"};
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

std::optional<uint64_t> ContainerSource::limit_writes(uint32_t needs) const {
  const Parts& p = *parts_;
  uint64_t total = 0;
  bool known = true;
  const auto add = [&](const LimitedSource* source) {
    const auto writes = source == nullptr ? 0 : source->writes();
    known = known && writes;
    total += writes.value_or(0);
  };
  if (needs & kAnyMemory) {
    add(p.memory.get());
    add(p.hugetlb.get());
    add(p.allowed_nodes.source.get());  // read where the host has several
  }
  if (needs & kAnyCpus) {
    add(p.bandwidth.get());
    add(p.cpuset.get());
  }
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) \
  if (needs & kNeed##Name) {                                    \
    known = known && p.name.is_open;                            \
    add(p.name.source.get());                                   \
  }
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS
  return known ? std::optional(total) : std::nullopt;
}

#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) \
  Result<type> ContainerSource::name() {                        \
    return parts_->read(parts_->name, controller, make_##name); \
  }
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS

}  // namespace vprocfs
