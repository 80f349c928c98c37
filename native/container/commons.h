#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "container/fair_share.h"

namespace vprocfs {

/// What all tenants take from.
enum class Resource : uint8_t {
  kContainers,  ///< known containers: a descriptor and some KiB each
  kSources,     ///< containers whose cgroup files are open: about 16 descriptors each, and watches
  kOpenFiles,   ///< open files that hold a snapshot
  kHeldBytes,   ///< bytes of these snapshots
  kTriggers,    ///< pressure triggers: a descriptor each
  kWaiting,     ///< requests that wait for their turn or budget
};
inline constexpr size_t kResources = 6;
const char* to_text(Resource resource);

/// The limits of one resource.
struct Bound {
  uint64_t each = 0;  ///< one tenant has at most this
  uint64_t sure = 0;  ///< and this much of it in any case, out of a reserve that nobody has more of
  uint64_t all = 0;   ///< beyond this, all tenants together, only what is sure is given
};
using Bounds = std::array<Bound, kResources>;

/// Sets the bounds of resources that take descriptors, for a process that may have `descriptors` of
/// them: a half for sources, an eighth each for containers and triggers. The remaining quarter is
/// for no tenant.
void bound_descriptors(uint64_t descriptors, uint64_t triggers_each, Bounds& bounds);

/// The resources that all tenants share: what is in use, and how often there was not enough.
/// Thread-safe.
class Commons {
 public:
  /// `cpu_each_us`, `cpu_all_us` as FairShare has them.
  explicit Commons(const Bounds& bounds, uint64_t cpu_each_us = 0, uint64_t cpu_all_us = 0)
      : bounds_(bounds), fair_share_(cpu_each_us, cpu_all_us) {}

  const Bound& bound(Resource r) const { return bounds_[index(r)]; }
  uint64_t used(Resource r) const { return used_[index(r)].load(std::memory_order_relaxed); }
  /// How often a tenant asked for more than it may have.
  uint64_t refused(Resource r) const { return refused_[index(r)].load(std::memory_order_relaxed); }
  /// How often of these the tenant had less than `each`, and others had the rest.
  uint64_t short_of(Resource r) const { return short_[index(r)].load(std::memory_order_relaxed); }
  FairShare& fair_share() { return fair_share_; }

 private:
  friend class Stake;
  static size_t index(Resource r) { return static_cast<size_t>(r); }

  const Bounds bounds_;
  std::array<std::atomic<uint64_t>, kResources> used_{}, refused_{}, short_{};
  FairShare fair_share_;
};

/// What one tenant has of them. Thread-safe; borrows the commons.
class Stake {
 public:
  /// `commons` nullptr: nothing is bounded.
  explicit Stake(Commons* commons) : commons_(commons) {}
  ~Stake();
  Stake(const Stake&) = delete;
  Stake& operator=(const Stake&) = delete;

  uint64_t used(Resource r) const { return used_[at(r)].load(std::memory_order_relaxed); }

  /// False, and counted, when it may not have so much more.
  bool take(Resource r, uint64_t more = 1);
  /// Whether it has nothing left to take. Not counted.
  bool spent(Resource r) const { return !allows(r, 1); }
  /// What is there already and only to be counted.
  void note(Resource r, uint64_t more);
  void give(Resource r, uint64_t less = 1);
  /// nullptr: nothing is bounded.
  FairShare* fair_share() const { return commons_ == nullptr ? nullptr : &commons_->fair_share(); }
  /// Counts a refusal that was found out by other means.
  void refuse(Resource r);

 private:
  static size_t at(Resource r) { return static_cast<size_t>(r); }
  bool allows(Resource r, uint64_t more) const;

  Commons* const commons_;
  std::array<std::atomic<uint64_t>, kResources> used_{};
};

}  // namespace vprocfs
