#pragma once

#include <linux/seccomp.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "container/registry.h"
#include "klog/access.h"
#include "klog/banner.h"
#include "klog/syslog.h"

namespace vprocfs {

/// What the agent has done. All only grow, except gauges marked so.
struct CallCounters {
  std::atomic<uint64_t> answered{0};   ///< calls that got the container's figures
  std::atomic<uint64_t> passed{0};     ///< calls let through to the kernel, for any reason
  std::atomic<uint64_t> late{0};       ///< of these: the memory of the tenant's callers blocks
  std::atomic<uint64_t> faults{0};     ///< calls with a pointer to nowhere
  std::atomic<uint64_t> gone{0};       ///< callers that did not wait for their answer
  std::atomic<uint64_t> waited{0};     ///< calls that could not be answered at once
  std::atomic<uint64_t> failed{0};     ///< of these: not within patience, they got EAGAIN
  std::atomic<uint64_t> paced{0};      ///< calls after which a container was over its budget
  std::atomic<uint64_t> resumed{0};    ///< calls that a worker before us had taken
  std::atomic<uint64_t> malformed{0};  ///< messages that nobody should send
  std::atomic<uint64_t> listeners{0};  ///< gauge: notify descriptors and monitors of LXC
  std::atomic<uint64_t> stuck{0};      ///< gauge: writers that do not end
};

/// How a call ends for its caller.
struct Verdict {
  enum class Kind : uint8_t {
    kPass,                ///< the kernel is to run it
    kReply,               ///< `value` or `error` (an errno value, 0: none)
    kReleaseFromMonitor,  ///< the kernel is to refuse this answer: the call goes on waiting
  } kind = Kind::kPass;
  int64_t value = 0;
  int error = 0;

  static constexpr Verdict fails(int with) { return {Kind::kReply, 0, with}; }
  seccomp_notif_resp response(uint64_t id) const;
};

/// The verdict for a call that gets no answer of ours: the kernel runs it. Only syslog(2) fails
/// with EPERM, because the kernel would return the host's log.
Verdict fallback_verdict(const seccomp_data& data);

/// Whether a call still waits for its answer. False: its caller was killed or interrupted, or
/// somebody has answered.
bool still_waits(int listener_fd, uint64_t id);

/// What is to be written into the caller's memory before it is told `value`.
struct CallAnswer {
  /// Empty: nothing, and none of what follows; the call gets its fallback_verdict().
  std::vector<uint8_t> bytes;
  std::optional<Verdict> reply;  ///< nothing is to be written: this is all
  /// The bytes are of its container's log, and taken from there when somebody can write them.
  std::optional<SyslogCall> log;
  bool waits = false;     ///< its container's log has to be added to first
  bool later = false;     ///< there is one, but it cannot be had at the moment
  uint32_t argument = 0;  ///< which one is the address
  bool is_32bit = false;  ///< pointers have 32 bits, whatever stands above them
  int64_t value = 0;
  bool repeats = false;  ///< for some time it does for calls of others in the container, too
  uint32_t calls = 0;    ///< as how many more it counts, for what was looked through for it
};

/// Finds the answer to one call of one process.
class Answerer {
 public:
  struct Options {
    uint64_t tick_us = 10000;
    bool affinity = false;  ///< answers sched_getaffinity(2) too
    int procfs_fd = -1;
    /// Of containers; nullptr: they have none, and syslog(2) is EPERM.
    KernelLogs* logs = nullptr;
    BannerOf banner;
  };

  Answerer(Options options, Registry& registry);

  /// `who`: whose call it was; nullptr for a process of the host, or unknown. `listener_fd`: where
  /// it came from.
  CallAnswer answer(const seccomp_notif& notification, int listener_fd,
                    std::shared_ptr<Container>& who) const;

 private:
  CallAnswer syslog(const seccomp_notif& notification, int listener_fd, const Container& who) const;
  CallAnswer affinity(const seccomp_notif& notification, const CpuSet& shown) const;

  const Options options_;
  Registry& registry_;
  const LogAccess access_;
};

}  // namespace vprocfs
