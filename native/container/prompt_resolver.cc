#include "container/prompt_resolver.h"

#include <cerrno>
#include <set>
#include <utility>

#include "source/process.h"

namespace vprocfs {

Result<std::optional<ContainerDescription>> PromptResolver::of_process(pid_t pid) const {
  using Found = Result<std::optional<ContainerDescription>>;
  if (attempts_ == nullptr) return resolver_.of_process(pid);
  // The same number as of its tenant's identity, which is not known before it is found.
  const uint64_t tenant = resolver_.outermost_namespace(pid);
  if (tenant == 0) return resolver_.of_process(pid);
  auto found = ask<Found>(Attempts::tenant(tenant),
                          [resolver = &resolver_, pid] { return resolver->of_process(pid); });
  return found ? std::move(*found) : Error{EAGAIN, "its container does not answer"};
}

Result<ContainerDescription> PromptResolver::of_id(ContainerId id, const Resolver::Search& search,
                                                   Attempts::Payer payer) const {
  using Found = Result<ContainerDescription>;
  auto found = ask<Found>(
      payer, [resolver = &resolver_, id, search] { return resolver->of_id(id, search); });
  return found ? std::move(*found) : Error{EAGAIN, id.name()};
}

bool PromptResolver::exists(ContainerId id, Attempts::Payer payer) const {
  // Where the kernel has forgotten a directory's name it looks it up in the one around it.
  return ask<bool>(payer, [resolver = &resolver_, id] { return resolver->exists(id); })
      .value_or(true);
}

std::vector<ContainerDescription> PromptResolver::scan() const {
  std::vector<ContainerDescription> out;
  std::set<Resolver::Placement> placements;
  std::set<ContainerId> ids;
  for_each_process(resolver_.procfs(), [&](pid_t pid) {
    const auto placement = resolver_.placement_of(pid);
    if (!placement || placement.value().namespaces.pid == resolver_.own().pid) return true;
    if (!placements.insert(placement.value()).second) return true;
    auto found = of_process(pid);
    if (!found) placements.erase(placement.value());
    if (found && found.value() && ids.insert(found.value()->id).second) {
      out.push_back(std::move(*found.value()));
    }
    return true;
  });
  return out;
}

}  // namespace vprocfs
