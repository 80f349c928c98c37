#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "container/registry.h"

namespace vprocfs {

/// Finds the containers of the open files that a worker before us left. The process that opened
/// one may have ended, and may have made the search as costly as it can, while all readers wait for
/// us to begin: so searches in vain have a budget of their own. Not thread-safe.
class LeftContainers {
 public:
  /// Borrows the registry.
  explicit LeftContainers(Registry& registry) : registry_(registry) {}

  /// One that lives, or an ended one with nothing but its name.
  std::shared_ptr<Container> of(ContainerId id);

 private:
  std::shared_ptr<Container> look_for(ContainerId id);

  Registry& registry_;
  std::map<ContainerId, std::shared_ptr<Container>> known_;
  uint64_t spent_us_ = 0;
};

}  // namespace vprocfs
