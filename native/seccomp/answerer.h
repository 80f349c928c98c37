#pragma once

#include <linux/seccomp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "container/registry.h"
#include "seccomp/call.h"

namespace vprocfs {

/// What the agent has done. All only grow, except gauges marked so.
struct CallCounters {
  std::atomic<uint64_t> answered{0};   ///< calls that got the container's figures
  std::atomic<uint64_t> passed{0};     ///< calls let through to the kernel, for any reason
  std::atomic<uint64_t> late{0};       ///< of these: could not be answered in time
  std::atomic<uint64_t> faults{0};     ///< calls with a pointer to nowhere
  std::atomic<uint64_t> gone{0};       ///< callers that did not wait for their answer
  std::atomic<uint64_t> paced{0};      ///< calls after which a container was over its budget
  std::atomic<uint64_t> resumed{0};    ///< calls that a worker before us had taken
  std::atomic<uint64_t> malformed{0};  ///< messages that nobody should send
  std::atomic<uint64_t> listeners{0};  ///< gauge: notify descriptors and monitors of LXC
};

/// How a call ends for its caller.
struct Verdict {
  enum class Kind : uint8_t {
    kPass,   ///< the kernel is to run it
    kReply,  ///< `value` or `error` (an errno value, 0: none)
    kNone,   ///< somebody else has answered already, or nobody waits any more
  } kind = Kind::kPass;
  int64_t value = 0;
  int error = 0;

  seccomp_notif_resp response(uint64_t id) const;
};

/// Finds the answer to one call of one process.
class Answerer {
 public:
  struct Options {
    uint64_t tick_us = 10000;
    bool affinity = false;  ///< answers sched_getaffinity(2) too
    int procfs_fd = -1;
  };

  Answerer(Options options, Registry& registry, CallCounters& counters);

  /// A notification and where it came from.
  struct Question {
    const seccomp_notif& notification;
    int listener_fd;  ///< to ask whether the caller still waits
    int memory_fd;    ///< the caller's memory, when somebody opened it already; else -1
    /// Called when nothing but the answer is missing. False: it is not wanted any more.
    const std::function<bool()>& claim;
  };

  /// `who`: whose call it was; nullptr for a process of the host, or unknown.
  Verdict answer(const Question& question, std::shared_ptr<Container>& who) const;

 private:
  Verdict affinity(const Question& question, const CpuSet& shown) const;
  Verdict write(const Question& question, uint64_t address, const void* data, size_t bytes,
                int64_t value) const;

  const Options options_;
  Registry& registry_;
  CallCounters& counters_;
};

}  // namespace vprocfs
