#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "facts/host.h"
#include "facts/node.h"
#include "source/host_shapes.h"

namespace vprocfs {

/// The host's own files, parsed. Each is read at most once per tick and shared by all containers;
/// thread-safe. `now_us` is the caller's clock, so that recorded trees need none.
class HostSource {
 public:
  /// Borrows both directory descriptors (procfs and sysfs roots). tick_us 0: read every time.
  HostSource(int procfs_fd, int sysfs_fd, uint64_t tick_us);
  ~HostSource();

  Result<std::shared_ptr<const HostMeminfo>> meminfo(uint64_t now_us);
  Result<std::shared_ptr<const HostStat>> stat(uint64_t now_us);
  /// cpuinfo is expensive on large hosts: it is read again after one second.
  Result<std::shared_ptr<const HostCpuinfo>> cpuinfo(uint64_t now_us);
  Result<std::shared_ptr<const HostCpus>> cpus(uint64_t now_us);

  /// Files that only give the form.
  HostShapes& shapes();

  /// Whether the host has the file: `path` as in View::path. What it lacks no container has.
  bool has(const std::string& path) const;

  /// Read again after one second. Empty where the host has no directory of nodes.
  Result<std::shared_ptr<const std::vector<HostNode>>> nodes(uint64_t now_us);

  /// Every size of huge pages, ascending. Empty where the kernel has none.
  Result<std::shared_ptr<const std::vector<HostHugePool>>> huge_pools(uint64_t now_us);
  /// The sizes that there are, kB.
  std::vector<uint64_t> hugepage_kb(uint64_t now_us);

  /// The root of sysfs.
  int sysfs_fd() const;

  /// A host file as it is, for callers on the host: `path` as in View::path ("proc/meminfo").
  Result<std::string> raw(const std::string& path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vprocfs
