#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace vprocfs {

/// The time from one sample of the load to the next: LOAD_FREQ of include/linux/sched/loadavg.h,
/// five seconds and a tick (of USER_HZ).
inline constexpr uint64_t kLoadPeriodUs = 5'010'000;

/// The load averages of a container so far. Kept in the state file as plain numbers.
struct LoadHistory {
  bool started = false;
  uint64_t sampled_us = 0;             ///< of the last sample, CLOCK_MONOTONIC
  std::array<uint64_t, 3> averages{};  ///< over 1, 5 and 15 minutes, see TaskFacts::load
};

/// Begins the averages of a container that is `uptime_us` old and in which `active` tasks are
/// running or blocked now. Nothing was sampled until now, so the time before counts as if the load
/// had always been the present one.
void start_load(LoadHistory& history, uint64_t active, uint64_t now_us, uint64_t uptime_us);

/// Takes a sample, as calc_global_load() of kernel/sched/loadavg.c does. Time since the last one
/// counts in whole periods, to the nearest; where several have passed (nobody asked, or no worker
/// was there), all of them count as spent with what is found now. Less than half a period: nothing.
void advance_load(LoadHistory& history, uint64_t active, uint64_t now_us);

/// As plain bytes for the state file, of the version kLoadVersion.
std::string pack_load(const LoadHistory& history);
inline constexpr uint64_t kLoadVersion = 1;

/// False when the bytes are no averages.
bool unpack_load(const void* data, size_t bytes, LoadHistory& out);

}  // namespace vprocfs
