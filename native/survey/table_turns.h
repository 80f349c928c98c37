#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "source/container_id.h"
#include "tenant/identity.h"

namespace vprocfs {

/// Divides the time in which mount tables are read among tenants: the one on which the least was
/// spent is next, and one whose tables take long rests, with all its containers. Not thread-safe.
class TableTurns {
 public:
  /// Begins a round, in which nobody has a turn yet. `now_us` is CLOCK_BOOTTIME.
  void begin(uint64_t now_us);
  /// A container of a tenant, which has a turn in this round if it has been due since `due_us` and
  /// the tenant does not rest.
  void add(const TenantIdentity& tenant, ContainerId container, uint64_t due_us);
  /// Whose turn it is: of a tenant's, that of the one that has been due for longest. Nothing:
  /// nobody's in this round.
  std::optional<ContainerId> next();
  /// How long that took: its tenant does not come again before so many times as long have passed.
  void charge(uint64_t took_us);
  static constexpr uint64_t kRestFactor = 200;

 private:
  struct Use {
    uint64_t spent_us = 0;       ///< on the scale of `clock_us_`
    uint64_t not_before_us = 0;  ///< when the tenant may come again
    bool is_there = false;       ///< it has containers
    std::set<std::pair<uint64_t, ContainerId>> due;
  };

  uint64_t now_us_ = 0;
  uint64_t clock_us_ = 0;  ///< `Use::spent_us` of the tenant that came last
  TenantIdentity tenant_;  ///< that one
  std::map<TenantIdentity, Use> uses_;
  std::set<std::pair<uint64_t, TenantIdentity>> order_;  ///< tenants with turns, by `Use::spent_us`
};

}  // namespace vprocfs
