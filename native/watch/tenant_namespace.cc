#include "watch/tenant_namespace.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/kernel_abi.h"

namespace vprocfs {
namespace {

constexpr int kMostLevels = 64;  // the kernel allows 32

uint64_t number_of(const Fd& fd) {
  struct stat st {};
  return ::fstat(fd.get(), &st) == 0 ? st.st_ino : 0;
}

}  // namespace

bool is_shortage(int code) {
  return code == EMFILE || code == ENFILE || code == ENOMEM || code == ENOSPC || code == EAGAIN;
}

Result<TenantNamespace> tenant_of(pid_t pid, uint64_t own) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/pid";
  TenantNamespace found;
  found.pids = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!found.pids) return Error{is_shortage(errno) ? errno : ESRCH, path};
  found.number = number_of(found.pids);
  if (found.number == own) return TenantNamespace();
  for (int level = 0; level < kMostLevels; ++level) {
    Fd around(::ioctl(found.pids.get(), kNsGetParent));
    if (!around && is_shortage(errno)) return Error{errno, path};
    // EPERM: what is around it is not below ours.
    const uint64_t number = around ? number_of(around) : own;
    if (number == own) break;
    found.number = number;
    found.pids = std::move(around);
  }
  return found;
}

}  // namespace vprocfs
