#pragma once

#include "base/result.h"
#include "container/resolve.h"
#include "source/cgroup_dir.h"
#include "source/cgroup_mounts.h"
#include "survey/figures.h"

namespace vprocfs {

/// Figures of a container's cgroups that no file under /proc needs: events, periods of the quota,
/// pressure, processes, traffic of block devices. Holds the directories open and no files. Not
/// thread-safe.
class CgroupFigures {
 public:
  CgroupFigures(const CgroupMounts& mounts, const ContainerDescription& container);

  /// Fills in what there is; what is absent or cannot be read stays as it was.
  void read(Figures& out);

 private:
  struct Place {
    std::shared_ptr<const CgroupDir> dir;  ///< nullptr: none of its own
    bool v2 = false;
  };
  Place place(const CgroupMounts& mounts, const ContainerDescription& container,
              Controller controller) const;
  std::optional<std::string_view> text(const Place& place, const char* name);

  void read_events(Figures& out);
  void read_periods(Figures& out);
  void read_pressure(Figures& out);
  void read_pids(Figures& out);
  void read_io(Figures& out);

  Place memory_, cpu_, pids_, io_, pressure_;
  ReadBuffer buffer_;
};

}  // namespace vprocfs
