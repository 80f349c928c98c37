#include "fuse/unsettled.h"

#include <utility>

namespace vprocfs {

void Unsettled::add(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  Copies& copies = requests_.try_emplace(caller.request, Copies{caller, 0}).first->second;
  ++copies.count;
}

void Unsettled::remove(uint64_t request) {
  const std::lock_guard lock(mutex_);
  const auto at = requests_.find(request);
  if (at != requests_.end() && --at->second.count == 0) requests_.erase(at);
}

std::optional<Caller> Unsettled::find(uint64_t request) const {
  const std::lock_guard lock(mutex_);
  const auto at = requests_.find(request);
  return at == requests_.end() ? std::nullopt : std::optional(at->second.caller);
}

bool Unsettled::begin_to_look(uint64_t request) {
  const std::lock_guard lock(mutex_);
  const auto at = requests_.find(request);
  return at == requests_.end() || !std::exchange(at->second.caller.interrupted, true);
}

}  // namespace vprocfs
