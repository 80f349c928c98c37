#include "klog/owner_translator.h"

#include <cstdint>

namespace vprocfs {
namespace {

constexpr uint64_t kNobody = 65534, kNoUser = UINT32_MAX;

}  // namespace

std::optional<pid_t> OwnerTranslator::pid(pid_t host) {
  auto known = known_.find(host);
  if (known == known_.end()) {
    // The line is proven to be this container's. At worst this is another process of the container.
    known = known_.emplace(host, who_had(owners_.holders(host), moment_, Young::kMaybe)).first;
  }
  const auto& process = known->second;
  if (!process || !LogOwners::is_inside(*process, owner_)) return std::nullopt;
  return process->numbers[owner_.depth];
}

uint64_t OwnerTranslator::user(uint64_t host) {
  if (host == kNoUser) return host;
  if (!users_) users_ = read_users(procfs_fd_, owner_.description.init).value_or({});
  for (const UserRange& users : *users_) {
    if (host >= users.outside && host - users.outside < users.count) {
      return users.inside + (host - users.outside);
    }
  }
  return kNobody;
}

}  // namespace vprocfs
