#pragma once

#include <atomic>
#include <cstdint>

#include "container/budget.h"
#include "container/gate.h"
#include "container/id.h"

namespace vprocfs {

/// What one container, or all of a tenant, hold of what everybody shares.
struct Holdings {
  std::atomic<uint32_t> open_files{0};
  std::atomic<uint64_t> held_bytes{0};  ///< of the snapshots of open files
};

/// The outermost container, and what it and all that are nested in it share: however many it nests,
/// it gets no more than one that nests none. Thread-safe.
class Tenant {
 public:
  /// 0: no limit.
  Tenant(ContainerId id, uint64_t renders_per_second, uint64_t calls_per_second)
      : id_(id), renders_(renders_per_second), calls_(calls_per_second) {}

  /// Of the outermost container.
  ContainerId id() const { return id_; }
  /// Turn-taking of its requests.
  Gate& gate() { return gate_; }
  /// How often its files may be made anew.
  Budget& renders() { return renders_; }
  /// How often system calls of its processes are answered.
  Budget& calls() { return calls_; }

  Holdings holdings;
  /// Triggers that it has, and those of them that the kernel is taking away. Triggers' own.
  uint32_t triggers = 0, closing_triggers = 0;

 private:
  const ContainerId id_;
  Gate gate_;
  Budget renders_, calls_;
};

}  // namespace vprocfs
