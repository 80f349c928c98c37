#pragma once

#include <linux/seccomp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "klog/span.h"

namespace vprocfs {

/// Shared memory of an agent and one of its writers (native/writer): one call and its answer. It
/// outlives both processes (see PendingCalls). A writer is a separate process that writes into the
/// memory of callers. The write may block for as long as the caller likes, and no signal interrupts
/// it (a page of a file whose server hangs), so it happens in a process that can be abandoned.
struct WriterSlot {
  /// Which process may use what is not atomic: the agent, the writer, or the agent again once it
  /// has seen that the writer is done.
  enum Owner : uint32_t { kAgent, kWriter, kDone };
  /// How the writer's work on the slot ended.
  enum End : uint32_t {
    kServed,      ///< every call got its reply
    kWritten,     ///< the answer is in the caller's memory, and the agent has to reply
    kFault,       ///< the caller's pointer is invalid, and the agent has to reply
    kGone,        ///< the caller no longer waits
    kUnwritable,  ///< the caller's memory or the listener cannot be opened
    kReturned,    ///< `notification` is another call, which needs another answer
  };

  std::atomic<uint32_t> owner;          ///< an Owner; a futex
  std::atomic<uint32_t> wanted;         ///< other calls wait for this writer: end after this one
  std::atomic<uint64_t> busy_since_us;  ///< CLOCK_BOOTTIME, while in a caller's memory; else 0
  std::atomic<uint32_t> poisoned;       ///< was there too long: nobody may try this call again

  int32_t pid;                 ///< of the writer; 0: there is none
  uint64_t start_ticks;        ///< of the writer's process
  uint64_t tenant;             ///< whose call it is
  uint64_t key;                ///< of the call's source
  seccomp_notif notification;  ///< the call; `id` 0: none

  // The answer. Descriptors are numbers in the agent's process.
  int32_t listener_fd;
  int32_t memory_fd;  ///< -1: the writer opens the caller's memory, replies, and takes more calls
  uint32_t argument;  ///< index of the call's argument that is the address
  uint32_t is_32bit;  ///< the address has 32 bits
  int64_t value;      ///< what the call returns
  uint32_t bytes;     ///< of the answer

  // The same answer is right for further calls of this source from the same namespaces, up to
  // `max_calls` in all, until `until_us` (CLOCK_BOOTTIME).
  uint32_t max_calls;
  uint64_t until_us;
  uint64_t pid_ns, cgroup_ns;

  // For the next worker, if it has to answer the call again; see PendingCalls::Entry.
  LogSpan log;
  uint32_t blocked;

  // What the writer did.
  uint32_t end;                     ///< an End
  uint32_t answered, faults, gone;  ///< how many calls, as CallCounters has them

  /// The longest answer: all of a container's log. It lies beside the slots (PendingCalls::text).
  static constexpr size_t kMaxAnswerBytes = size_t{64} << 10;
};

/// Descriptors that a writer starts with: a memfd, the agent's pidfd, an eventfd for "done", and
/// /proc. It keeps no others, and an abandoned writer that keeps these holds nothing up.
inline constexpr int kWriterCallsFd = 3, kWriterAgentFd = 4, kWriterDoneFd = 5, kWriterProcFd = 6;

}  // namespace vprocfs
