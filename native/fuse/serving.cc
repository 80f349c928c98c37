#include "fuse/serving.h"

namespace vprocfs {

Result<Serving::ContainerPtr> Serving::container_of(const Request& r, NodeId node) {
  if (!node.container().none()) return registry.by_id(node.container());
  return registry.by_process(static_cast<pid_t>(r.header().pid));
}

bool Serving::full(const ContainerPtr& container) {
  if (!container) return false;
  Stake& stake = container->tenant().stake();
  const bool no_file = stake.spent(Resource::kOpenFiles);
  if (!no_file && !stake.spent(Resource::kHeldBytes)) return false;
  stake.refuse(no_file ? Resource::kOpenFiles : Resource::kHeldBytes);
  answers.counters.refused_opens.fetch_add(1, std::memory_order_relaxed);
  container->refused.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace vprocfs
