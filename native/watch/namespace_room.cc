#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/shortage.h"
#include "watch/namespace_watch.h"
#include "watch/process_namespaces.h"

namespace vprocfs {
namespace {

/// One tenant's namespaces are at most one part in kTenantShare of those that can be known.
constexpr size_t kTenantShare = 16, kMinPerTenant = 64, kMaxPerTenant = 1024;

}  // namespace

uint64_t NamespaceWatch::tenant_of(pid_t pid) {
  auto found = vprocfs::tenant_of(pid, own_pids_);
  const std::lock_guard lock(mutex_);
  const auto key = key_of(std::move(found));
  if (key) return key.value();
  // The caller takes the process for one that has ended, and does not ask again.
  if (is_shortage(key.error().code)) note_shortage();
  return 0;
}

Result<uint64_t> NamespaceWatch::key_of(Result<TenantNamespace> tenant) {
  if (!tenant) return tenant.error();
  const bool idle = tenants_.due_us() == 0;
  const uint64_t key = tenants_.key_of(std::move(tenant.value()), monotonic_us());
  // The loop waits without a timeout.
  if (idle && tenants_.due_us() != 0) wake_.ring();
  return key;
}

size_t NamespaceWatch::tenant_limit() const {
  return std::clamp(limit_ / kTenantShare, kMinPerTenant, kMaxPerTenant);
}

bool NamespaceWatch::has_room(uint64_t tenant) {
  const auto use = uses_.find(tenant);
  const size_t count = use == uses_.end() ? 0 : use->second.count;
  const bool full = known_.size() >= limit_;
  // There is always room for the first namespace of a tenant.
  if ((!full || count == 0) && count < tenant_limit()) return true;
  ++state_.refused;
  if (count < tenant_limit()) ++state_.crowded;
  if (full) {
    full_ = true;
  } else {
    use->second.refused = true;
  }
  return false;
}

/// Has everything looked at again soon, and with that what could not be done now.
void NamespaceWatch::note_shortage() {
  ++state_.shortages;
  if (retry_us_ != 0) return;
  retry_us_ = monotonic_us() + kRetryUs;
  // The loop may wait without a timeout.
  if (wake_) wake_.ring();
}

void NamespaceWatch::drop(Map::iterator it, Events& out) {
  const auto use = uses_.find(it->second.tenant);
  if (std::exchange(full_, false)) out.push_back({});
  if (use != uses_.end() && std::exchange(use->second.refused, false)) out.push_back({});
  take_out(it);
}

void NamespaceWatch::take_out(Map::iterator it) {
  if (it->second.dirty) --dirty_;
  const auto use = uses_.find(it->second.tenant);
  if (it->second.mounts) {
    closing_.push_back(std::move(it->second.mounts));
    due_.notify_all();
  }
  known_.erase(it);
  if (use == uses_.end() || --use->second.count > 0) return;
  tenants_.leave(use->first, monotonic_us());
  if (!use->second.reading) uses_.erase(use);
}

}  // namespace vprocfs
