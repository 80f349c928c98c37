#include "fuse/server_parts.h"

namespace vprocfs {

Result<ServerParts::ContainerPtr> ServerParts::container_of(const Request& r, NodeId node) {
  const ContainerId id = node.container();
  if (id.none()) return caller_of(r);
  const ContainerPtr* payer = r.payer();
  if (payer != nullptr && (*payer)->id() == id && !(*payer)->dead()) return *payer;
  // Those of the host take no turns: one that cannot be found would keep a thread of each.
  return payer == nullptr ? registry.for_host(id) : registry.by_id(id);
}

Result<ServerParts::ContainerPtr> ServerParts::caller_of(const Request& r) {
  const bool pays = r.payer() != nullptr && NodeId(r.header().nodeid).container().none();
  if (pays && !(*r.payer())->dead()) return *r.payer();
  return registry.by_process(static_cast<pid_t>(r.header().pid));
}

bool ServerParts::full(const ContainerPtr& container) {
  if (!container) return false;
  TenantResources& resources = container->tenant().resources();
  const bool no_file = resources.spent(Resource::kOpenFiles);
  if (!no_file && !resources.spent(Resource::kHeldBytes)) return false;
  resources.refuse(no_file ? Resource::kOpenFiles : Resource::kHeldBytes);
  answers.counters.refused_opens.fetch_add(1, std::memory_order_relaxed);
  container->refused.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace vprocfs
