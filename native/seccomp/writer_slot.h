#pragma once

#include <linux/seccomp.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "klog/span.h"

namespace vprocfs {

/// Shared memory of an agent and one of its writers (native/writer): the call to be answered.
/// It outlives both (see PendingCalls). A writer is a separate process that writes into the memory
/// of callers. That may block for as long as the caller likes, and no signal interrupts it (a page
/// of a file whose server hangs), so it is done in a process that can be abandoned.
struct WriterSlot {
  /// Which side may use the slot. All but the atomics belongs to it.
  enum Owner : uint32_t { kAgent, kWriter, kDone };
  /// What the writer has to say when it is done.
  enum End : uint32_t {
    kServed,      ///< nothing is left to be done
    kWritten,     ///< the answer is in the caller's memory, and nobody replied yet
    kFault,       ///< likewise, but the pointer leads nowhere
    kGone,        ///< the caller does not wait any more
    kUnwritable,  ///< the caller's memory, or the listener, cannot be had
    kReturned,    ///< `notification` is another call, which needs another answer
  };

  std::atomic<uint32_t> owner;   ///< an Owner; a futex
  std::atomic<uint32_t> wanted;  ///< others wait: end after the present call
  std::atomic<uint64_t>
      busy_since_us;               ///< CLOCK_BOOTTIME, while it is in a caller's memory; else 0
  std::atomic<uint32_t> poisoned;  ///< it has been there for too long: never try again

  int32_t pid;                 ///< of the writer; 0: none
  uint64_t start_ticks;        ///< of that process
  uint64_t tenant;             ///< whose call it is
  uint64_t key;                ///< of the source
  seccomp_notif notification;  ///< `id` 0: none

  // The answer. Descriptors are the agent's.
  int32_t listener_fd;
  int32_t memory_fd;  ///< -1: the writer opens the caller's memory, replies, and goes on
  uint32_t argument;  ///< which one is the address
  uint32_t is_32bit;
  int64_t value;
  uint32_t bytes;

  // While these hold, the same answer does for further calls of this source.
  uint32_t max_calls;
  uint64_t until_us;
  uint64_t pid_ns, cgroup_ns;

  // Of a container's log, for whoever has to answer the call in our place.
  LogSpan log;
  uint32_t blocked;  ///< PendingCalls::Entry::blocked

  // What became of it.
  uint32_t end;
  uint32_t answered, faults, gone;

  /// Of the answer, which lies beside the slots (PendingCalls::text): the whole of a container's
  /// log.
  static constexpr size_t kMaxAnswerBytes = size_t{64} << 10;
};

/// Descriptors that a writer starts with. It keeps no others, and these hold nothing up: a memfd,
/// the agent's pidfd, an eventfd for "done", and /proc.
inline constexpr int kWriterCallsFd = 3, kWriterAgentFd = 4, kWriterDoneFd = 5, kWriterProcFd = 6;

}  // namespace vprocfs
