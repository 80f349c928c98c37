#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "container/cpu_history.h"
#include "facts/cpu.h"
#include "source/container_source.h"

namespace vprocfs {

// The kernel counts CPU time anew in each cgroup of v1 that a container is moved to.

/// What cgroups had counted when a container left them, as far as that was read: it may come back.
/// Of the latest few.
class LeftPlaces {
 public:
  /// `place`: the inode number of a cgroup, as in CpuPlaces.
  void note(uint64_t place, CpuUsageFacts last);
  // All 0 for a cgroup that it is not known to have been in. `now`: what is counted there. The
  // number of one that is gone may be that of another, which has counted less.
  /// Of CPU time.
  CpuUsageFacts time_of(uint64_t place, const CpuUsageFacts& now) const;
  /// Of the quota.
  uint64_t throttled_of(uint64_t place, const CpuUsageFacts& now) const;

 private:
  CpuUsageFacts last_of(uint64_t place) const;

  std::vector<std::pair<uint64_t, CpuUsageFacts>> left_;  ///< the one left last at the end
};

/// Takes in the last reading of cgroups that may not be the container's any more: what is new in it
/// waits for the next report.
void note_last(CpuHistory& history, const CpuUsageFacts& last);

/// The cgroups that the CPU time of one container is taken from.
class CpuMoves {
 public:
  /// Goes on from the first reading of other cgroups than `before`. What these have counted since
  /// the container left them, if it was there, is its own if `cpus` can have used so much in the
  /// `within_us` in which it was moved; else others were there, and none of it is.
  void begin_elsewhere(CpuHistory& history, const CpuUsageFacts& first, const CpuPlaces& before,
                       const CpuPlaces& now, uint64_t within_us, size_t cpus);

 private:
  LeftPlaces time_, quota_;
};

/// The same for a history of earlier readings that nobody knows the cgroups of: if these were
/// others than that of `now`, what that has counted until now is not known to be the container's.
void go_on(CpuHistory& history, const CpuUsageFacts& now);

}  // namespace vprocfs
