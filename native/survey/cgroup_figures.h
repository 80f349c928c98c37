#pragma once

#include <array>

#include "base/result.h"
#include "container/resolve.h"
#include "source/cgroup_mounts.h"
#include "source/controllers.h"
#include "source/host_source.h"
#include "survey/figures.h"
#include "survey/totals.h"

namespace vprocfs {

/// Figures of a container's cgroups that no file under /proc needs: events, periods of the quota,
/// pressure, processes, traffic of block devices. Holds the directories open and no files. Not
/// thread-safe.
class CgroupFigures {
 public:
  /// Borrows the host's files.
  CgroupFigures(const CgroupMounts& mounts, HostSource& host,
                const ContainerDescription& container);

  /// Goes on in the cgroups that the container has been moved to: brings the counters up to date
  /// for the last time in those before. What new ones have counted when they are first read is not
  /// told: others may have been there.
  void move(const CgroupMounts& mounts, const ContainerDescription& container, KeptCounters& kept);

  /// Fills in what there is; what is absent or cannot be read stays as it was. Brings the counters
  /// up to date.
  void read(Figures& out, KeptCounters& kept);

 private:
  /// The cgroup around the container's own on which its runtime sets the quota; none: it sets that
  /// on the own one.
  static CgroupPlace around(const CgroupMounts& mounts, const ContainerDescription& container);
  /// Nothing: there is no such file, or it cannot be read, which sets `failed`.
  std::optional<std::string_view> text(const CgroupPlace& place, const char* name,
                                       bool* failed = nullptr);

  bool has_quota(const CgroupPlace& place);

  /// Where a counter was last read, and what was reported of it then.
  struct Counted {
    DirPtr at;
    uint64_t reported = 0;
  };
  bool is_elsewhere(CgroupCount which, const CgroupPlace& place) const;
  double tell(CgroupCount which, const CgroupPlace& place, uint64_t reading, KeptCounters& kept);
  double tell_io(CgroupCount which, uint64_t reading, UnfailingCounter& counter,
                 KeptCounters& kept);

  void read_events(Figures& out, KeptCounters& kept);
  void read_periods(Figures& out, KeptCounters& kept);
  void read_pressure(Figures& out, KeptCounters& kept);
  void read_pids(Figures& out);
  void read_io(Figures& out, KeptCounters& kept);

  HostSource& host_;
  CgroupPlace memory_, cpu_, around_, pids_, io_, pressure_;
  std::array<Counted, kCgroupCounts> counted_;
  ReadBuffer buffer_;
};

}  // namespace vprocfs
