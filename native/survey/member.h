#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/fd.h"
#include "survey/cpu_totals.h"
#include "survey/mounted.h"
#include "survey/surveyor.h"

namespace vprocfs {

/// What a surveyor keeps of one container.
struct Surveyor::Member {
  Member(ContainerDescription d, LifeStarts s, Fd fd)
      : description(std::move(d)), starts(std::move(s)), init(std::move(fd)) {}

  ContainerDescription description;
  const LifeStarts starts;
  Fd init;
  std::unique_ptr<CgroupFigures> cgroups;   ///< nullptr until they are read
  bool may_have_moved = false;              ///< to other cgroups
  std::unique_ptr<ContainerSource> source;  ///< nullptr while it is not kept open
  bool keeps_source = false;
  uint64_t last_kill_us = 0;  ///< CLOCK_BOOTTIME; 0: none known
  std::string last_victim;
  std::optional<double> counted_kills;  ///< at the last survey
  std::optional<Mounted> mounts;
  uint64_t mounts_next_us = 0;  ///< when they are counted again
  CpuTotals cpu;
  KeptCounters counters;
  std::atomic<bool> is_idle{true};  ///< nobody is reading it
};

}  // namespace vprocfs
