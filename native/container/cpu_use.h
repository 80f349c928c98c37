#pragma once

#include <cstdint>
#include <vector>

namespace vprocfs {

/// One value for each of several CPUs.
using CpuValues = std::vector<uint64_t>;

/// CPU time by kind, µs.
struct CpuUse {
  uint64_t user = 0, nice = 0, system = 0;

  uint64_t sum() const { return user + nice + system; }
  /// At most `limit` of it, each kind in proportion.
  CpuUse at_most(uint64_t limit) const;
  /// `other` is a part of it.
  CpuUse less(const CpuUse& other) const {
    return {user - other.user, nice - other.nice, system - other.system};
  }
};

uint64_t sum_of(const CpuValues& values);

/// Splits `amount` evenly, but in whole ticks of /proc/stat, first to those who have reached least,
/// and what is left to the one whose next tick is nearest. Equal shares of a tick would all stay
/// invisible for long on a machine of many CPUs, and then all show at once.
CpuValues split_evenly(uint64_t amount, const CpuValues& reached);

/// Moves use from CPUs that would have more than `dt` of it to those that have room. All fits.
/// Returns the room that each has left.
CpuValues fit(std::vector<CpuUse>& by_cpu, uint64_t dt);

/// Splits evenly what all `room` together is enough for, as far as each has room.
CpuValues split_into(uint64_t amount, CpuValues room);

}  // namespace vprocfs
