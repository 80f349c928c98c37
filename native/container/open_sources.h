#pragma once

#include <list>
#include <mutex>
#include <unordered_map>

#include "source/container_id.h"

namespace vprocfs {

class Container;

/// Which containers have their cgroup files open. All tenants share descriptors and watches. A
/// tenant that has its share of them open closes its own least recently used ones; they are opened
/// again when somebody asks. Thread-safe.
class OpenSources {
 public:
  /// Before `container` opens its own, with its lock held: counts them, and closes another one's
  /// where its tenant has too many.
  void opening(Container& container);
  /// After it has closed them.
  void closed(Container& container);

 private:
  std::mutex mutex_;
  std::unordered_map<ContainerId, std::list<Container*>, ContainerIdHash> open_;  ///< by tenant
};

}  // namespace vprocfs
