#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/mapping.h"
#include "base/result.h"

namespace vprocfs {

/// One hit of a tracepoint.
struct TraceHit {
  uint64_t at_us = 0;      ///< CLOCK_MONOTONIC
  uint64_t cgroup = 0;     ///< id of the task's cgroup, of the hierarchy that perf_event is in
  std::string_view entry;  ///< its fields, as `format` of tracefs says
};

/// Takes a sample of perf_event_open(2) apart that PerfRings asks for, header included; false: it
/// is none, or not a whole one.
bool parse_trace_hit(std::string_view sample, TraceHit& out);

/// Follows a tracepoint on all CPUs (perf_event_open(2)): the kernel writes each hit into a ring of
/// the CPU's, before whoever hits it goes on. Nothing wakes the reader. Not thread-safe.
class PerfRings {
 public:
  /// `name` is "subsystem/event". `format` is set to what tracefs says about its fields.
  static Result<std::unique_ptr<PerfRings>> open(const std::string& name, std::string& format);

  using Take = std::function<void(const TraceHit&)>;
  /// Gives all hits until now, in the order of each CPU. False: some were lost.
  bool drain(const Take& take);

 private:
  struct Ring {
    Fd fd;
    Mapping memory;
  };
  bool drain_one(const Mapping& memory, const Take& take);

  std::vector<Ring> rings_;
  std::string sample_;  ///< reused
};

}  // namespace vprocfs
