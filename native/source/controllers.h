#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "facts/cgroup.h"
#include "facts/cpu.h"
#include "facts/io.h"
#include "facts/memory.h"
#include "source/cgroup_dir.h"
#include "source/change_notifier.h"
#include "source/memory_events.h"

namespace vprocfs {

using DirPtr = std::shared_ptr<const CgroupDir>;

/// One cgroup to read figures from.
struct CgroupPlace {
  DirPtr dir;  ///< nullptr: no such hierarchy, or the container is not in it
  bool v2 = false;
  ChangeNotifier* notifier = nullptr;
};

/// Opens a container's cgroup of each hierarchy once, whatever the number of controllers in it.
/// Borrows its arguments.
class CgroupOpener {
 public:
  CgroupOpener(const CgroupMounts& mounts, const CgroupPaths& paths, ChangeNotifier* notifier)
      : mounts_(mounts), paths_(paths), notifier_(notifier) {}

  /// The place of `controller`. One that is nowhere yet may be enabled on cgroup2 later, so that
  /// is where it is looked for then; `now` says that only one which is there counts.
  CgroupPlace of(Controller controller, bool now, Error& error);

 private:
  const CgroupMounts& mounts_;
  const CgroupPaths& paths_;
  ChangeNotifier* const notifier_;
  std::vector<DirPtr> opened_;
};

/// What one controller tells of one container. Each has a v1 and a v2 twin that fill the same
/// facts. `buffer` is lent by the caller; whoever calls has drained the notifier. All fail with
/// ENODEV when the cgroup is gone; files that are not there are absent facts.
class LimitedSource {
 public:
  virtual ~LimitedSource() = default;
  /// How often anything that limits was written, as far as the notifier was drained; nothing before
  /// the first reading and where that cannot be known. Figures without limits are never written.
  virtual std::optional<uint64_t> writes() const { return 0; }
};

/// One that has one kind of figures.
template <typename T>
class FactsSource : public LimitedSource {
 public:
  virtual Result<T> read(ReadBuffer& buffer) = 0;
};

// The sources of facts/cgroup_facts.def; nullptr where there is nothing to read.
inline constexpr std::nullopt_t kCgroup2Only = std::nullopt;
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) \
  std::unique_ptr<FactsSource<type>> make_##name(const CgroupPlace& place);
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS

class MemorySource : public LimitedSource {
 public:
  /// All but `hugetlb`; of `events` what is asked for.
  virtual Result<MemoryFacts> read(ReadBuffer& buffer, MemoryEvents events,
                                   const HostMemorySize& host) = 0;
};

/// The sizes that have a limit, whose use is read.
using HugetlbSource = FactsSource<std::vector<HugetlbFacts>>;

class BandwidthSource : public LimitedSource {
 public:
  /// The tightest quota along the chain.
  virtual Result<std::optional<CpuBandwidth>> read(ReadBuffer& buffer) = 0;
  /// Fills in what quotas took, as far as the source of CPU times cannot know. Those above are
  /// known from read(). `is_alive`: the cgroup is known to be there, so that nothing has to be read
  /// where no quota takes anything.
  virtual std::optional<Error> read_throttled(ReadBuffer& buffer, bool is_alive,
                                              CpuUsageFacts& facts) = 0;
};

/// `throttled_us` is filled where the same file tells.
using CpuTimeSource = FactsSource<CpuUsageFacts>;

/// The effective set of the cgroup, or of its nearest ancestor that has one.
using CpusetSource = FactsSource<std::optional<CpuSet>>;

class IoSource {
 public:
  virtual ~IoSource() = default;
  /// Without `with_requests` only bytes are told, which is fewer files on v1.
  virtual Result<IoFacts> read(ReadBuffer& buffer, bool with_requests) = 0;
};

std::unique_ptr<MemorySource> make_memory_v1(DirPtr dir, ChangeNotifier* notifier);
std::unique_ptr<MemorySource> make_memory_v2(DirPtr dir, ChangeNotifier* notifier);

/// `sizes`: of the huge pages that the host has, kB.
std::unique_ptr<HugetlbSource> make_hugetlb(DirPtr dir, ChangeNotifier* notifier, bool v2,
                                            const std::vector<uint64_t>& sizes);

std::unique_ptr<BandwidthSource> make_bandwidth(const DirPtr& dir, ChangeNotifier* notifier,
                                                bool v2);

std::unique_ptr<CpuTimeSource> make_cpu_time_v1(const DirPtr& dir);
std::unique_ptr<CpuTimeSource> make_cpu_time_v2(DirPtr dir);

std::unique_ptr<CpusetSource> make_cpuset(DirPtr dir, ChangeNotifier* notifier, bool v2);

std::unique_ptr<IoSource> make_io_v1(const DirPtr& dir);
std::unique_ptr<IoSource> make_io_v2(DirPtr dir, ChangeNotifier* notifier);

/// Takes `next` where it allows less CPU time per wall time than `least`, compared exactly.
void take_tighter(std::optional<CpuBandwidth>& least, const CpuBandwidth& next);

/// Adds the event oom_kill of a file of "key value" lines, where it has one. `probe` as of
/// OpenCgroupFile.
std::optional<Error> add_oom_kills(OpenCgroupFile& file, bool probe, ReadBuffer& buffer,
                                   MemoryFacts& facts);

/// Takes `next` where it is lower than `least`.
void take_lower(std::optional<uint64_t>& least, const std::optional<uint64_t>& next);

}  // namespace vprocfs
