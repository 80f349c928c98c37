#include "container/open_sources.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "container/container.h"

namespace vprocfs {

void OpenSources::opening(Container& container) {
  Tenant& tenant = container.tenant();
  // Closed once the lock is released: others wait for it, and these are many files.
  std::vector<std::unique_ptr<ContainerSource>> idle;
  const std::lock_guard lock(mutex_);
  auto& open = open_[tenant.id()];
  // Each that is busy has a thread in it, so that there are few.
  while (tenant.resources().spent(Resource::kSources) && !open.empty()) {
    std::vector<Container*> oldest(open.begin(), open.end());
    std::sort(oldest.begin(), oldest.end(),
              [](const Container* a, const Container* b) { return a->used_us() < b->used_us(); });
    std::unique_ptr<ContainerSource> taken;
    const auto shut = std::find_if(oldest.begin(), oldest.end(), [&](Container* one) {
      if (one != &container) taken = one->take_idle_source();
      return taken != nullptr;
    });
    if (shut == oldest.end()) break;
    idle.push_back(std::move(taken));
    open.remove(*shut);
    tenant.resources().give(Resource::kSources);
  }
  if (tenant.resources().spent(Resource::kSources)) tenant.resources().refuse(Resource::kSources);
  tenant.resources().note(Resource::kSources, 1);
  open.push_back(&container);
}

void OpenSources::closed(Container& container) {
  Tenant& tenant = container.tenant();
  const std::lock_guard lock(mutex_);
  const auto at = open_.find(tenant.id());
  if (at == open_.end()) return;
  const size_t before = at->second.size();
  at->second.remove(&container);
  if (at->second.size() < before) tenant.resources().give(Resource::kSources);
  if (at->second.empty()) open_.erase(at);
}

}  // namespace vprocfs
