#pragma once

#include "base/result.h"
#include "container/resolve.h"
#include "source/cgroup_mounts.h"
#include "source/controllers.h"
#include "survey/figures.h"
#include "survey/totals.h"

namespace vprocfs {

/// Figures of a container's cgroups that no file under /proc needs: events, periods of the quota,
/// pressure, processes, traffic of block devices. Holds the directories open and no files. Not
/// thread-safe.
class CgroupFigures {
 public:
  CgroupFigures(const CgroupMounts& mounts, const ContainerDescription& container);

  /// Fills in what there is; what is absent or cannot be read stays as it was. Brings the counters
  /// of I/O up to date.
  void read(Figures& out, KeptCounters& kept);
  /// Whether the kernel takes I/O out of the container's figures again: v1 does when a cgroup
  /// within it ends.
  bool may_lose_io() const { return io_.dir && !io_.v2; }

 private:
  /// The cgroup around the container's own on which its runtime sets the quota; none: it sets that
  /// on the own one.
  static CgroupPlace around(const CgroupMounts& mounts, const ContainerDescription& container);
  /// Nothing: there is no such file, or it cannot be read, which sets `failed`.
  std::optional<std::string_view> text(const CgroupPlace& place, const char* name,
                                       bool* failed = nullptr);

  bool has_quota(const CgroupPlace& place);

  void read_events(Figures& out);
  void read_periods(Figures& out);
  void read_pressure(Figures& out);
  void read_pids(Figures& out);
  void read_io(Figures& out, KeptCounters& kept);

  CgroupPlace memory_, cpu_, around_, pids_, io_, pressure_;
  ReadBuffer buffer_;
};

}  // namespace vprocfs
