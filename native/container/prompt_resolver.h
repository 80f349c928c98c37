#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/attempts.h"
#include "container/resolve.h"
#include "tenant/identity.h"

namespace vprocfs {

/// The Resolver for threads that others need: what a container may keep from being answered is
/// EAGAIN before long. Thread-safe; borrows its arguments.
class PromptResolver {
 public:
  /// `attempts`: nullptr: nobody needs the thread, which may wait.
  PromptResolver(const Resolver& resolver, Attempts* attempts)
      : resolver_(resolver), attempts_(attempts) {}

  /// As Resolver::of_process().
  Result<std::optional<ContainerDescription>> of_process(pid_t pid) const;
  /// As Resolver::of_id().
  Result<ContainerDescription> of_id(ContainerId id, const Resolver::Search& search,
                                     Attempts::Payer payer) const;
  /// As Resolver::exists(): true as long as it is not known.
  bool exists(ContainerId id, Attempts::Payer payer) const;
  /// All containers that have processes, by looking at every process once.
  std::vector<ContainerDescription> scan() const;
  /// What `work` returns; nothing where `payer` keeps it from that. As Attempts::ask().
  template <typename T>
  std::optional<T> ask(Attempts::Payer payer, std::function<T()> work) const {
    if (attempts_ == nullptr) return work();
    return attempts_->ask(payer, std::move(work));
  }

  static Attempts::Payer payer_of(const TenantIdentity& tenant) {
    return Attempts::tenant(tenant.pid_namespace);
  }
  /// Of a container whose tenant is not known.
  static Attempts::Payer payer_of(ContainerId id) { return Attempts::stranger(id.packed()); }

  /// For what no container can keep from being answered.
  const Resolver& resolver() const { return resolver_; }

 private:
  const Resolver& resolver_;
  Attempts* const attempts_;
};

}  // namespace vprocfs
