#include "watch/process_namespaces.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/kernel_abi.h"
#include "base/shortage.h"
#include "source/process.h"

namespace vprocfs {
namespace {

constexpr int kMaxLevels = 64;  // the kernel allows 32

uint64_t number_of(const Fd& fd) {
  struct stat st {};
  return ::fstat(fd.get(), &st) == 0 ? st.st_ino : 0;
}

}  // namespace

uint64_t namespace_of(const std::string& process, const char* which) {
  return read_namespace(AT_FDCWD, "/proc/" + process, which).value_or(0);
}

bool is_init(pid_t pid) {
  const Fd procfs(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto inner = read_inner_pid(procfs.get(), pid);
  return inner && inner.value() == 1;
}

pid_t representative(pid_t pid, uint64_t key) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/pid";
  const Fd pids(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const int init = pids ? ::ioctl(pids.get(), kNsGetTgidFromPidns, 1) : -1;
  return init > 0 && namespace_of(std::to_string(init), "mnt") == key ? init : pid;
}

Result<TenantNamespace> tenant_of(pid_t pid, uint64_t own) {
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/pid";
  TenantNamespace found;
  found.pids = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!found.pids) return Error{is_shortage(errno) ? errno : ESRCH, path};
  found.number = number_of(found.pids);
  if (found.number == own) return TenantNamespace();
  for (int level = 0; level < kMaxLevels; ++level) {
    Fd around(::ioctl(found.pids.get(), kNsGetParent));
    if (!around && is_shortage(errno)) return Error{errno, path};
    // EPERM: the parent is outside of our PID namespace.
    const uint64_t number = around ? number_of(around) : own;
    if (number == own) break;
    found.number = number;
    found.pids = std::move(around);
  }
  return found;
}

}  // namespace vprocfs
