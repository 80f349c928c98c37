#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "base/unfailing_counter.h"
#include "base/wide.h"
#include "source/container_id.h"

namespace vprocfs {

/// How many kills the kernel's log told of, which is finite.
struct CountedKills {
  uint64_t kills = 0;
  uint64_t sequence = 0;  ///< of the log's record about the last kill
};

/// A counter of a container that begins again in each cgroup that it is moved to.
struct MovedCounter {
  uint64_t before = 0;  ///< reported until it was moved, or later
  uint64_t first = 0;   ///< what the cgroup had counted by then

  /// Whether it goes on from what was reported. If not, it is the reading.
  bool goes_on() const { return before != 0 || first != 0; }
  uint64_t reported(uint64_t reading) const {
    return saturating_add(before, saturating_sub(reading, first));
  }
  /// The same as reported(). Goes on from there, so that the next worker knows what was reported;
  /// one that was never moved only if it `is_kept`.
  uint64_t take(uint64_t reading, bool is_kept = false) {
    const uint64_t now = reported(reading);
    if (is_kept || goes_on()) *this = {now, std::max(first, reading)};
    return now;
  }
  /// For the first reading of a worker, which does not know of which cgroup the last one was: one
  /// that has counted less is another.
  void begin(uint64_t reading) { first = std::min(first, reading); }
};

/// What is reported of CPU time.
enum class CpuKind : uint8_t { kUser, kNice, kSystem, kThrottled };
inline constexpr size_t kCpuKinds = 4;

/// What else is reported of cgroups, in the order of the file.
enum class CgroupCount : uint8_t {
  kPeriods,
  kThrottledPeriods,
  kEventsMax,
  kOomKills,
  kReadBytes,
  kWrittenBytes,
  // Earlier versions do not have those from here on. Pressure is in microseconds.
  kEventsLow,
  kEventsHigh,
  kEventsOom,
  kOomGroupKills,
  kCpuWaiting,
  kCpuStalled,
  kMemoryWaiting,
  kMemoryStalled,
  kIoWaiting,
  kIoStalled
};
inline constexpr size_t kCgroupCounts = 16;
inline constexpr auto kFirstCounts = static_cast<size_t>(CgroupCount::kEventsLow);

/// Counters of a container that the kernel does not keep for as long as it lives.
struct KeptCounters {
  uint64_t start_us = 0;  ///< CLOCK_BOOTTIME: the life that they are of
  uint64_t above_us = 0;  ///< the time that quotas above the container have held it back
  UnfailingCounter read_bytes, written_bytes;  ///< over all block devices
  /// By CpuKind. User and nice time always go on if the kernel tells nice time: see
  /// user_time_after().
  std::array<MovedCounter, kCpuKinds> cpu;
  std::array<MovedCounter, kCgroupCounts> counts;  ///< by CgroupCount

  /// Whether a worker that begins without them may report less. What the kernel tells of I/O falls
  /// when a device goes or is made part of another one, and on v1 when a cgroup within the
  /// container ends.
  bool are_needed() const {
    return above_us != 0 || read_bytes.reported() != 0 || written_bytes.reported() != 0 || go_on();
  }
  /// Whether any of `cpu` and `counts` goes on from what was reported.
  bool go_on() const {
    const auto does = [](const MovedCounter& one) { return one.goes_on(); };
    return std::any_of(cpu.begin(), cpu.end(), does) ||
           std::any_of(counts.begin(), counts.end(), does);
  }
};

/// What surveys have counted of each container, kept in a file so that with the next worker no
/// count falls: a line for the version, one for each container, and a last one without which the
/// file is not whole. `Counts` is one of the above.
template <typename Counts>
struct Totals {
  std::map<ContainerId, Counts> entries;

  std::string text() const;
  /// Empty if there is no such file, or not a whole one of this version.
  static Totals load(const std::string& path);
};
using KillTotals = Totals<CountedKills>;
using CounterTotals = Totals<KeptCounters>;

/// Counts a kill. False: it was counted already.
bool count_kill(KillTotals& totals, ContainerId id, uint64_t sequence);

/// Replaces the file by a text(): a reader sees the old one or the new one.
Result<bool> save_totals(const std::string& path, const std::string& text);

}  // namespace vprocfs
