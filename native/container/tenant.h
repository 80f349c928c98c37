#pragma once

#include <cstdint>

#include "container/budget.h"
#include "container/commons.h"
#include "container/gate.h"
#include "container/id.h"

namespace vprocfs {

/// The outermost container, and what it and all that are nested in it share: however many it nests,
/// it gets no more than one that nests none. Thread-safe.
class Tenant {
 public:
  /// Rates of 0: no limit. `commons` as Stake has it.
  Tenant(ContainerId id, Commons* commons, uint64_t renders_per_second, uint64_t calls_per_second)
      : id_(id), stake_(commons), renders_(renders_per_second), calls_(calls_per_second) {}

  /// Of the outermost container.
  ContainerId id() const { return id_; }
  /// Turn-taking of its requests.
  Gate& gate() { return gate_; }
  /// How often its files may be made anew.
  Budget& renders() { return renders_; }
  /// How often system calls of its processes are answered.
  Budget& calls() { return calls_; }

  /// What it has of all that is shared.
  Stake& stake() { return stake_; }
  const Stake& stake() const { return stake_; }

  /// Of its triggers those that the kernel is taking away. Triggers' own.
  uint32_t closing_triggers = 0;
  /// When it was last looked for ended containers of it, CLOCK_BOOTTIME. Registry's own.
  uint64_t swept_us = 0;

 private:
  const ContainerId id_;
  Stake stake_;
  Gate gate_;
  Budget renders_, calls_;
};

}  // namespace vprocfs
