#include "tenant/shared_resources.h"

#include <algorithm>

namespace vprocfs {
namespace {

constexpr uint64_t kDescriptorsPerSource = 16;

}  // namespace

const char* to_text(Resource resource) {
  static constexpr const char* kTexts[kResources] = {"containers", "sources",  "open_files",
                                                     "held_bytes", "triggers", "waiting"};
  return kTexts[static_cast<size_t>(resource)];
}

void limit_descriptors(uint64_t descriptors, uint64_t triggers_per_tenant, ResourceLimits& limits) {
  constexpr uint64_t kMaxContainersPerTenant = 1024, kMaxSourcesPerTenant = 64;
  const auto share = [&limits](Resource r, uint64_t total, uint64_t per_tenant, uint64_t reserved) {
    // One tenant has an eighth at most, so that it takes several to use up the total.
    const uint64_t tenant_limit = std::max<uint64_t>(1, std::min(per_tenant, total / 8));
    limits[static_cast<size_t>(r)] = {per_tenant == 0 ? 0 : tenant_limit,
                                      std::min(reserved, tenant_limit), total};
  };
  share(Resource::kContainers, descriptors / 8, kMaxContainersPerTenant, 2);
  share(Resource::kSources, descriptors / 2 / kDescriptorsPerSource, kMaxSourcesPerTenant, 1);
  // An operator's setting is not reduced.
  limits[static_cast<size_t>(Resource::kTriggers)] = {
      triggers_per_tenant, std::min<uint64_t>(1, triggers_per_tenant), descriptors / 8};
}

TenantResources::~TenantResources() {
  if (shared_ == nullptr) return;
  for (size_t i = 0; i < kResources; ++i) shared_->used_[i].fetch_sub(used_[i].load());
}

bool TenantResources::allows(Resource r, uint64_t more) const {
  if (shared_ == nullptr) return true;
  const ResourceLimit& limit = shared_->limit(r);
  const uint64_t would = used(r) + more;
  if (would > limit.per_tenant) return false;
  return would <= limit.reserved || shared_->used(r) + more <= limit.total;
}

bool TenantResources::take(Resource r, uint64_t more) {
  // Threads that ask at the same time may all pass: each exceeds the limit by one request at most.
  if (!allows(r, more)) {
    refuse(r);
    return false;
  }
  note(r, more);
  return true;
}

void TenantResources::note(Resource r, uint64_t more) {
  used_[at(r)].fetch_add(more, std::memory_order_relaxed);
  if (shared_ != nullptr) shared_->used_[at(r)].fetch_add(more, std::memory_order_relaxed);
}

void TenantResources::give(Resource r, uint64_t less) {
  used_[at(r)].fetch_sub(less, std::memory_order_relaxed);
  if (shared_ != nullptr) shared_->used_[at(r)].fetch_sub(less, std::memory_order_relaxed);
}

void TenantResources::refuse(Resource r) {
  if (shared_ == nullptr) return;
  shared_->refused_[at(r)].fetch_add(1, std::memory_order_relaxed);
  if (used(r) < shared_->limit(r).per_tenant) {
    shared_->short_[at(r)].fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace vprocfs
