#include "container/commons.h"

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

void bound_descriptors(uint64_t descriptors, uint64_t triggers_each, Bounds& bounds) {
  constexpr uint64_t kMaxContainersPerTenant = 1024, kMaxSourcesPerTenant = 64;
  const auto share = [&bounds](Resource r, uint64_t all, uint64_t each, uint64_t sure) {
    // One tenant has an eighth at most, so that it takes several to use up what is for all.
    const uint64_t tenant_limit = std::max<uint64_t>(1, std::min(each, all / 8));
    bounds[static_cast<size_t>(r)] = {each == 0 ? 0 : tenant_limit, std::min(sure, tenant_limit),
                                      all};
  };
  share(Resource::kContainers, descriptors / 8, kMaxContainersPerTenant, 2);
  share(Resource::kSources, descriptors / 2 / kDescriptorsPerSource, kMaxSourcesPerTenant, 1);
  // What an operator asked for is not made less.
  bounds[static_cast<size_t>(Resource::kTriggers)] = {
      triggers_each, std::min<uint64_t>(1, triggers_each), descriptors / 8};
}

Stake::~Stake() {
  if (commons_ == nullptr) return;
  for (size_t i = 0; i < kResources; ++i) commons_->used_[i].fetch_sub(used_[i].load());
}

bool Stake::allows(Resource r, uint64_t more) const {
  if (commons_ == nullptr) return true;
  const Bound& bound = commons_->bound(r);
  const uint64_t would = used(r) + more;
  if (would > bound.each) return false;
  return would <= bound.sure || commons_->used(r) + more <= bound.all;
}

bool Stake::take(Resource r, uint64_t more) {
  // Two at once may both pass: what is exceeded by is at most one thread's each.
  if (!allows(r, more)) {
    refuse(r);
    return false;
  }
  note(r, more);
  return true;
}

void Stake::note(Resource r, uint64_t more) {
  used_[at(r)].fetch_add(more, std::memory_order_relaxed);
  if (commons_ != nullptr) commons_->used_[at(r)].fetch_add(more, std::memory_order_relaxed);
}

void Stake::give(Resource r, uint64_t less) {
  used_[at(r)].fetch_sub(less, std::memory_order_relaxed);
  if (commons_ != nullptr) commons_->used_[at(r)].fetch_sub(less, std::memory_order_relaxed);
}

void Stake::refuse(Resource r) {
  if (commons_ == nullptr) return;
  commons_->refused_[at(r)].fetch_add(1, std::memory_order_relaxed);
  if (used(r) < commons_->bound(r).each) {
    commons_->short_[at(r)].fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace vprocfs
