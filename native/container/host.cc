#include "container/host.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/new_mount.h"

namespace vprocfs {
namespace {

constexpr uint64_t kFirstCgroupNamespace = 0xEFFFFFFB;  // PROC_CGROUP_INIT_INO
constexpr uint64_t kFirstPidNamespace = 0xEFFFFFFC;     // PROC_PID_INIT_INO

/// A directory descriptor of a fresh procfs (or sysfs) mount of our own, so that nothing mounted
/// over files of /proc (by us, in a container that we run in) is ever read; /proc itself where the
/// kernel refuses.
Result<Fd> open_pristine(const char* type, const char* fallback) {
  if (const Fd mounted = new_mount(type, MS_NOSUID)) {
    Fd root(::openat(mounted.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (root) return root;
  }
  Fd root(::open(fallback, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return Error{errno, fallback};
  return root;
}

}  // namespace

Result<std::unique_ptr<Host>> Host::open() {
  auto host = std::make_unique<Host>();
  auto procfs = open_pristine("proc", "/proc");
  if (!procfs) return procfs.error();
  host->procfs = std::move(procfs.value());
  auto sysfs = open_pristine("sysfs", "/sys");
  if (!sysfs) return sysfs.error();
  host->sysfs = std::move(sysfs.value());
  auto mounts = CgroupMounts::discover(host->procfs.get());
  if (!mounts) return mounts.error();
  host->mounts = std::move(mounts.value());
  host->resolver = std::make_unique<Resolver>(host->mounts, host->procfs.get());
  auto opened = host->resolver->open();
  if (!opened) return opened.error();
  return host;
}

bool Host::has_first_cgroups() const { return resolver->own().cgroup == kFirstCgroupNamespace; }

bool Host::has_first_pids() const { return resolver->own().pid == kFirstPidNamespace; }

TaskCounting Host::counting(bool bpf) const {
  return TaskCounting{&mounts, procfs.get(), sysfs.get(), bpf && has_first_cgroups()};
}

}  // namespace vprocfs
