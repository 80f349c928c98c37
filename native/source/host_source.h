#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "facts/host.h"
#include "facts/node.h"
#include "facts/shape.h"
#include "source/disk_layers.h"

namespace vprocfs {

/// The host's own files, parsed. Each is read at most once per tick and shared by all containers;
/// thread-safe. `now_us` is the caller's clock, so that recorded trees need none.
class HostSource {
 public:
  /// What no file of a host says.
  struct Machine {
    uint64_t page_kb;         ///< its page size
    uint64_t (*asleep_us)();  ///< how far CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC
  };
  /// That on which we run.
  static Machine own_machine();

  /// Borrows both directory descriptors (procfs and sysfs roots). tick_us 0: read every time.
  HostSource(int procfs_fd, int sysfs_fd, uint64_t tick_us, Machine machine = own_machine());
  ~HostSource();

  Result<std::shared_ptr<const HostMeminfo>> meminfo(uint64_t now_us);
  /// That of the memory nodes that are allowed. All of it where that is every node with memory, or
  /// none that there is.
  Result<std::shared_ptr<const HostMeminfo>> meminfo_of(const CpuSet& allowed_nodes,
                                                        uint64_t now_us);
  /// Expensive, because the kernel sums up all interrupts for it: read again after one second, and
  /// by the tick when somebody has set the clock, which moves the time of boot.
  Result<std::shared_ptr<const HostStat>> stat(uint64_t now_us);
  /// cpuinfo is expensive on large hosts: it is read again after one second, and when a CPU is
  /// online that is not in it. The same object as long as the file says the same.
  Result<std::shared_ptr<const HostCpuinfo>> cpuinfo(uint64_t now_us);
  Result<std::shared_ptr<const HostCpus>> cpus(uint64_t now_us);

  // diskstats() and so on: what gives containers' files their form, which devices, rows and columns
  // there are. They hardly ever change and are expensive on large hosts, so each is read again
  // after one second. ENOENT where the host has no such file.
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  Result<std::shared_ptr<const type>> name(uint64_t now_us);
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE

  /// Of the devices that diskstats() names.
  DiskLayers& disk_layers();

  uint64_t page_kb() const;

  /// The size of its transparent huge pages in kB, which is not that of the pool's where that was
  /// chosen (default_hugepagesz=1G); that where the kernel does not tell, in recorded trees that
  /// lack it too. Never 0. Looked up once.
  uint64_t thp_kb(const HostMeminfo& meminfo);

  /// Whether the host has the file: `path` as in View::path. What it lacks no container has.
  bool has(const std::string& path) const;

  /// Read again after one second. Empty where the host has no directory of nodes.
  Result<std::shared_ptr<const std::vector<HostNode>>> nodes(uint64_t now_us);

  /// Every size of huge pages, ascending. Empty where the kernel has none.
  Result<std::shared_ptr<const std::vector<HostHugePool>>> huge_pools(uint64_t now_us);
  /// The sizes that there are, kB, which no kernel changes once it runs. An error: they cannot be
  /// told now.
  Result<std::vector<uint64_t>> hugepage_kb(uint64_t now_us);

  /// Opens and parses what every container is shown something of, so that its first reader does not
  /// wait for that. What cannot be read is found out when it is asked for.
  void warm_up(uint64_t now_us);

  /// The root of sysfs.
  int sysfs_fd() const;

  /// A host file as it is, for callers on the host: `path` as in View::path ("proc/meminfo").
  Result<std::string> raw(const std::string& path);
  /// The status of a process or thread of the host.
  Result<std::string> status_of(uint32_t pid) {
    return raw("proc/" + std::to_string(pid) + "/status");
  }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vprocfs
