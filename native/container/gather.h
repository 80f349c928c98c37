#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "container/cpu_history.h"
#include "container/event_history.h"
#include "container/io_history.h"
#include "container/io_losses.h"
#include "facts/facts.h"
#include "source/container_source.h"
#include "source/host_source.h"
#include "source/mounted_devices.h"

namespace vprocfs {

/// When a container began, and what time it is. µs on the host's CLOCK_BOOTTIME.
struct ContainerClock {
  uint64_t now_us = 0;
  uint64_t init_start_us = 0;  ///< at most now_us
  /// What the container's time namespace adds; 0 without one.
  int64_t offset_us = 0;
};

/// What uptime(1) says then, in µs.
uint64_t uptime_of(const ContainerClock& clock);
/// When its kernel booted, in seconds since the epoch.
uint64_t btime_of(const ContainerClock& clock, uint64_t host_btime_s);

/// All that a container has reported before.
struct Histories {
  CpuHistory cpu;
  IoHistory io;
  IoLosses io_losses;
  EventHistory events;
  /// By the last gathering.
  bool cpu_changed = false, io_changed = false, io_losses_changed = false, events_changed = false;
};

/// Facts that were gathered for another view a moment ago and are used again, so that files read
/// together agree and cost no more than one of them.
struct Gathered {
  const Facts* memory = nullptr;  ///< has what kNeedMemory asks for
  const Facts* cpus = nullptr;    ///< has what kAnyCpus and kNeedClock ask for
};

void copy_memory(const Facts& from, Facts& to);
void copy_cpus(const Facts& from, Facts& to);

/// What memory the host has for a container, as Facts::host_meminfo: a cpuset may allow some of the
/// memory nodes only, and to the container the host is as large as these. `allowed`: which these
/// are, where there are several. `all`: how large the host is. False: `error` says why not.
bool gather_host_memory(HostSource& host, ContainerSource& source, uint64_t now, Facts& facts,
                        std::optional<CpuSet>& allowed, HostMemorySize& all, Error& error);

/// Collects what a view needs, and nothing else (`needs` are Need bits). A history is advanced when
/// what it stands for is asked for, and that of CPU time also when CPUs are found to have come or
/// gone. An error of a source that the view needs is an error.
/// `mounted`: the devices that the container's file systems lie on, which it is shown whether it
/// has used them or not.
Result<Facts> gather(uint32_t needs, HostSource& host, ContainerSource& source,
                     Histories& histories, const ContainerClock& clock, MountedDevices& mounted,
                     const Gathered& before = {});

}  // namespace vprocfs
