#pragma once

#include <cstdint>

#include "container/cpu_history.h"

namespace vprocfs {

/// The idle time that the CPUs of a container had had at an age.
struct IdleAtAge {
  uint64_t uptime_us = 0;
  uint64_t idle_us = 0;
};

/// As last reported.
IdleAtAge last_idle(const CpuHistory& history);

/// What to take off the idle time of a container for a PID namespace that began when the container
/// was `began_us` old, so that never more is left than the namespace's age on each CPU. Between the
/// container's start, the report `before` and the report `now` idle time is taken to have grown
/// evenly.
uint64_t idle_before(uint64_t began_us, const IdleAtAge& before, const CpuHistory& now);

}  // namespace vprocfs
