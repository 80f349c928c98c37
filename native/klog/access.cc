#include "klog/access.h"

#include <unistd.h>

#include "base/affix.h"
#include "source/process.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

// <linux/capability.h>
constexpr uint64_t kDacOverride = uint64_t{1} << 1, kDacReadSearch = uint64_t{1} << 2,
                   kSyslog = uint64_t{1} << 34;

}  // namespace

bool LogAccess::has_capability(const LogCaller& caller, const ContainerDescription& container,
                               uint64_t any_of) const {
  const auto capabilities = read_capabilities(procfs_fd_, caller.pid);
  if (!capabilities || (capabilities.value() & any_of) == 0) return false;
  const auto its = read_user_namespace(procfs_fd_, caller.pid);
  if (!its) return false;
  const auto of_container = read_user_namespace(procfs_fd_, container.init);
  if (of_container && of_container.value() == its.value()) return true;
  // Capabilities in our user namespace, which is around the container's, count in it too.
  const auto own = read_user_namespace(procfs_fd_, ::getpid());
  return own && own.value() == its.value();
}

bool LogAccess::is_root(const LogCaller& caller, const ContainerDescription& container) const {
  if (caller.user == 0) return true;
  const auto root = read_root_user(procfs_fd_, container.init);
  if (root && root.value() == caller.user) return true;
  return has_capability(caller, container, kDacOverride | kDacReadSearch);
}

bool LogAccess::has_syslog(const LogCaller& caller, const ContainerDescription& container) const {
  return has_capability(caller, container, kSyslog);
}

bool LogAccess::is_restricted() const {
  const auto text = read_file(procfs_fd_, "sys/kernel/dmesg_restrict");
  return !text || !starts_with(text.value(), "0");
}

}  // namespace vprocfs
