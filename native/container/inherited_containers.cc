#include "container/inherited_containers.h"

#include <functional>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "container/container.h"
#include "container/resolve.h"

namespace vprocfs {
namespace {

/// What looking in vain may take in all, and where it is looked from then on: processes are mostly
/// at the top of a container.
constexpr uint64_t kBudgetUs = 50'000;
constexpr size_t kFewCgroups = 2;

}  // namespace

std::shared_ptr<Container> InheritedContainers::of(ContainerId id) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = known_.find(id);
    if (known != known_.end()) return known->second;
  }
  auto found = look_for(id);
  const std::lock_guard lock(mutex_);
  return known_.try_emplace(id, std::move(found)).first->second;
}

bool InheritedContainers::is_known(ContainerId id) {
  const std::lock_guard lock(mutex_);
  return known_.count(id) != 0;
}

bool InheritedContainers::find(ContainerId id, Attempts* attempts) {
  if (is_known(id)) return true;
  const std::function<bool()> look = [this, id] { return of(id) != nullptr; };
  const std::optional<bool> found =
      attempts == nullptr ? look() : attempts->ask(Attempts::stranger(id.packed()), look);
  return found.value_or(false);
}

void InheritedContainers::forget() {
  decltype(known_) gone;
  const std::lock_guard lock(mutex_);
  gone.swap(known_);
}

std::shared_ptr<Container> InheritedContainers::look_for(ContainerId id) {
  const uint64_t began_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
  const bool spent = spent_us_ > kBudgetUs;
  auto found = registry_.by_id(id, spent ? kFewCgroups : Resolver::kMaxCgroupsSearched);
  if (found) return std::move(found.value());
  spent_us_ += clock_us(CLOCK_THREAD_CPUTIME_ID) - began_us;
  return registry_.ended(id);
}

}  // namespace vprocfs
