#include "watch/process_namespaces.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/kernel_abi.h"
#include "source/process.h"

namespace vprocfs {

uint64_t namespace_of(const std::string& process, const char* which) {
  const auto id = read_namespace(AT_FDCWD, "/proc/" + process, which);
  return id ? id.value() : 0;
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

}  // namespace vprocfs
