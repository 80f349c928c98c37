#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tenant/fair_share.h"

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
struct ResourceLimit {
  uint64_t per_tenant = 0;  ///< what one tenant has at most
  uint64_t reserved = 0;    ///< what every tenant gets in any case, even beyond `total`
  uint64_t total = 0;       ///< what all tenants have together, but for what is reserved
};
using ResourceLimits = std::array<ResourceLimit, kResources>;

/// Sets the limits of resources that take descriptors, for a process that may have `descriptors` of
/// them: a half for sources, an eighth each for containers and triggers. The remaining quarter is
/// for no tenant.
void limit_descriptors(uint64_t descriptors, uint64_t triggers_per_tenant, ResourceLimits& limits);

/// The resources that all tenants share: what is in use, and how often there was not enough.
/// Thread-safe.
class SharedResources {
 public:
  /// `cpu_per_tenant_us`, `cpu_total_us` as FairShare has them.
  explicit SharedResources(const ResourceLimits& limits, uint64_t cpu_per_tenant_us = 0,
                           uint64_t cpu_total_us = 0)
      : limits_(limits), fair_share_(cpu_per_tenant_us, cpu_total_us) {}

  const ResourceLimit& limit(Resource r) const { return limits_[index(r)]; }
  uint64_t used(Resource r) const { return used_[index(r)].load(std::memory_order_relaxed); }
  /// How often a tenant asked for more than it may have.
  uint64_t refused(Resource r) const { return refused_[index(r)].load(std::memory_order_relaxed); }
  /// How many of these refusals were not for `per_tenant`, but because `total` was used up.
  uint64_t short_of(Resource r) const { return short_[index(r)].load(std::memory_order_relaxed); }
  FairShare& fair_share() { return fair_share_; }

 private:
  friend class TenantResources;
  static size_t index(Resource r) { return static_cast<size_t>(r); }

  const ResourceLimits limits_;
  std::array<std::atomic<uint64_t>, kResources> used_{}, refused_{}, short_{};
  FairShare fair_share_;
};

/// What one tenant has of the SharedResources, which it borrows. Thread-safe.
class TenantResources {
 public:
  /// `shared` nullptr: nothing is limited.
  explicit TenantResources(SharedResources* shared) : shared_(shared) {}
  ~TenantResources();
  TenantResources(const TenantResources&) = delete;
  TenantResources& operator=(const TenantResources&) = delete;

  uint64_t used(Resource r) const { return used_[at(r)].load(std::memory_order_relaxed); }

  /// Takes `more`. False, and counted as a refusal: the tenant may not have so much.
  bool take(Resource r, uint64_t more = 1);
  /// Whether take() would fail. Not counted as a refusal.
  bool spent(Resource r) const { return !allows(r, 1); }
  /// As take(), but without a limit.
  void note(Resource r, uint64_t more);
  void give(Resource r, uint64_t less = 1);
  /// nullptr: nothing is limited.
  FairShare* fair_share() const { return shared_ == nullptr ? nullptr : &shared_->fair_share(); }
  /// Counts a refusal that the caller decided on.
  void refuse(Resource r);

 private:
  static size_t at(Resource r) { return static_cast<size_t>(r); }
  bool allows(Resource r, uint64_t more) const;

  SharedResources* const shared_;
  std::array<std::atomic<uint64_t>, kResources> used_{};
};

}  // namespace vprocfs
