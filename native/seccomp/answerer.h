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
#include "seccomp/verdict.h"

namespace vprocfs {

/// What the agent has done. All but the gauges only grow.
struct CallCounters {
  std::atomic<uint64_t> answered{0};   ///< calls that got the container's figures
  std::atomic<uint64_t> passed{0};     ///< calls let through to the kernel, for any reason
  std::atomic<uint64_t> late{0};       ///< of these: the memory of the tenant's callers blocks
  std::atomic<uint64_t> faults{0};     ///< calls with an invalid pointer
  std::atomic<uint64_t> gone{0};       ///< callers that did not wait for their answer
  std::atomic<uint64_t> waited{0};     ///< calls that could not be answered at once
  std::atomic<uint64_t> failed{0};     ///< of these: calls that waited too long and got EAGAIN
  std::atomic<uint64_t> paced{0};      ///< calls after which a container was over its budget
  std::atomic<uint64_t> resumed{0};    ///< calls that a worker before us had taken
  std::atomic<uint64_t> malformed{0};  ///< messages that break the protocol
  std::atomic<uint64_t> listeners{0};  ///< gauge: notify descriptors and monitors of LXC
  std::atomic<uint64_t> stuck{0};      ///< gauge: writers that do not end
};

/// The answer to a call, as far as it is known before anything is written to its caller's memory.
struct CallAnswer {
  enum class Kind : uint8_t {
    kPass,   ///< the call gets its fallback_verdict()
    kLater,  ///< there is an answer, but a source of it cannot be read at the moment
    kReply,  ///< nothing is written: the call gets `reply`
    kWrite,  ///< `bytes` are written, then the call returns `value`
    kLog,    ///< the same with text that is taken from the container's log once it can be written
    kWait,   ///< as kLog, but the log has nothing to be taken before a record is added
  } kind = Kind::kPass;
  Verdict reply;
  std::vector<uint8_t> bytes;
  SyslogCall log;         ///< of kLog and kWait
  int64_t value = 0;      ///< what the call returns once the bytes are written
  uint32_t argument = 0;  ///< index of the call's argument that is the address to write to
  bool is_32bit = false;  ///< the address has 32 bits: higher bits of the argument mean nothing
  bool repeats = false;   ///< is right for other callers in the container too, for some time
  uint32_t extra_calls =
      0;  ///< how many more calls it is charged as, for a log that it reads through
};

/// Finds the answer to one call of one process.
class Answerer {
 public:
  struct Options {
    uint64_t tick_us = 10000;
    bool affinity = false;  ///< answers sched_getaffinity(2) too
    int procfs_fd = -1;
    /// The containers' logs; nullptr: they have none, and syslog(2) fails with EPERM.
    KernelLogs* logs = nullptr;
    BannerOf banner;
  };

  Answerer(Options options, Registry& registry);

  /// `listener_fd`: the notify descriptor that the call came through. `is_patient`: the container
  /// may keep the thread as long as it likes; else kLater before long. Sets `who` to the container
  /// that the caller is in; it stays as it is for a process of the host or an unknown one.
  CallAnswer answer(const seccomp_notif& notification, int listener_fd, bool is_patient,
                    std::shared_ptr<Container>& who) const;

 private:
  /// What a container may keep from being known.
  struct Found {
    std::shared_ptr<Container> who;                     ///< nullptr: a process of the host
    std::optional<Result<Container::CallFacts>> facts;  ///< if they are wanted
  };
  Result<Found> find(pid_t pid, bool wants_facts) const;
  Result<Found> find_before_long(pid_t pid, bool wants_facts) const;
  CallAnswer syslog(const seccomp_notif& notification, int listener_fd, const Container& who) const;
  CallAnswer affinity(const seccomp_notif& notification, const CpuSet& shown) const;

  const Options options_;
  Registry& registry_;
  const LogAccess access_;
};

}  // namespace vprocfs
