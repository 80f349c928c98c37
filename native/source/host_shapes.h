#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "facts/host.h"
#include "facts/shape.h"

namespace vprocfs {

/// Files of the host that give containers' files their form: which devices, rows and columns there
/// are. They hardly ever change and are expensive on large hosts, so each is read at most once a
/// second and shared by all containers. Thread-safe. ENOENT where the host has no such file.
class HostShapes {
 public:
  /// Borrows the descriptor of a procfs. `fresh`: read every time, for recorded trees.
  HostShapes(int procfs_fd, bool fresh);
  ~HostShapes();

// diskstats() and so on.
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  Result<std::shared_ptr<const type>> name(uint64_t now_us);
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE

  /// The host's page size in kB, so that it is right for recorded trees of other architectures too:
  /// what programs use (AnonPages and Mapped of meminfo) divided by its pages in vmstat. MemTotal
  /// by the zones' pages it is not: a balloon takes pages from zones and leaves MemTotal as it was.
  /// 4 where that cannot be told. Looked up once.
  uint64_t page_kb(const HostMeminfo& meminfo, uint64_t now_us);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace vprocfs
