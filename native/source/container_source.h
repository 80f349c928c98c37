#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "facts/cgroup.h"
#include "facts/cpu.h"
#include "facts/io.h"
#include "facts/memory.h"
#include "facts/pressure.h"
#include "source/cgroup_mounts.h"
#include "source/change_notifier.h"
#include "source/memory_events.h"

namespace vprocfs {

class PressureSource;

/// The cgroups that CPU time and the quota are read from, by their inode numbers; 0: none.
struct CpuPlaces {
  uint64_t time = 0, quota = 0;
};

/// Everything that cgroups tell about one container. Not thread-safe: its container's lock is held.
///
/// Files are opened once and read with pread(2). Limits of the ancestors are read again only when
/// the notifier tells of a write to one of them, so a reading costs the same at any depth: memory()
/// takes 4 system calls (one more for each limited size of huge pages, and for events, and on v2
/// one less where the host has no swap), cpu_limits() and cpu_usage() together at most 5, io() 2
/// (v2) or 4 (v1). Only cgroups above the container that limit its memory or swap cost memory()
/// more: see MemoryLevels. A file that did not exist when the source was opened (controller enabled
/// later) is found when an ancestor's cgroup.subtree_control (v2) was written. At most 13
/// descriptors are held, one for each limited size of huge pages, 4 more for readers of io() on v1,
/// and up to 6 for limited cgroups above the container.
class ContainerSource {
 public:
  /// `notifier` must outlive the source; with nullptr nothing is cached. `hugepage_kb` are the
  /// sizes of huge pages of which memory() tells; each costs. ENOENT/ENODEV when the cgroup is
  /// gone.
  static Result<std::unique_ptr<ContainerSource>> open(const CgroupMounts& mounts,
                                                       const CgroupPaths& paths,
                                                       ChangeNotifier* notifier,
                                                       const std::vector<uint64_t>& hugepage_kb);
  ~ContainerSource();

  /// Groups readings that belong together. While it lives, limits written after the first reading
  /// may be ignored until the next group, which saves asking the notifier again.
  class Joined {
   public:
    explicit Joined(ContainerSource& source);
    ~Joined();
    Joined(const Joined&) = delete;
    Joined& operator=(const Joined&) = delete;

   private:
    ContainerSource& source_;
  };

  // Of all readings: ENODEV if the cgroup vanished; absent controllers are absent facts; each
  // reading sees all limits that were written before it began.

  /// `events`: what of MemoryFacts::events is filled too, unless the container is in the
  /// hierarchy's root. `host`: limits that are not below it are none for MemoryFacts::headroom.
  Result<MemoryFacts> memory(MemoryEvents events = MemoryEvents::kNone,
                             const HostMemorySize& host = {});
  /// The inode number of the cgroup that memory() is about; 0: none.
  uint64_t memory_place() const;
  Result<CpuLimitFacts> cpu_limits();
  Result<CpuUsageFacts> cpu_usage();
  const CpuPlaces& cpu_places() const;
  /// EOPNOTSUPP: the kernel does not account pressure for this cgroup, or there is no cgroup2.
  /// Holds a descriptor more for each resource that is asked for.
  Result<PressureFacts> pressure(PressureResource resource);
  /// The file to write a trigger to.
  Result<Fd> open_trigger(PressureResource resource);
  /// Without an io (v1: blkio) controller there are no devices, nor where the container is in that
  /// hierarchy's root, which counts for the node.
  Result<IoFacts> io(bool with_requests = true);
  // Rows of facts/cgroup_facts.def: node_use() and so on. Each opens a descriptor more when it is
  // first asked, and tells nothing where the container is not in the hierarchy.
#define VPROCFS_CGROUP_FACTS(name, Name, bit, type, controller) Result<type> name();
#include "facts/cgroup_facts.def"
#undef VPROCFS_CGROUP_FACTS

  /// Takes in what was written before this call, for limit_writes(). One system call.
  void drain();
  /// How often the limits behind what a view needs (Need bits) were written: while it stays the
  /// same, limits read earlier hold. Nothing before they were read for the first time and where
  /// they cannot be watched. CPU hotplug and the partitions of other cgroups change effective
  /// cpusets without a write.
  std::optional<uint64_t> limit_writes(uint32_t needs) const;

 private:
  struct Parts;
  Result<PressureSource*> pressure_source();
  explicit ContainerSource(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace vprocfs
