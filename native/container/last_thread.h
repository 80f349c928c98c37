#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace vprocfs {

/// The thread for which something was last found, and when. A PID is not reused within a
/// millisecond, because the kernel assigns PIDs in turn. It is a single word, so reading it takes
/// no lock.
class LastThread {
 public:
  /// Whether it was set to this thread in the same 1,024 µs. `now_us` is CLOCK_BOOTTIME.
  bool is(pid_t thread, uint64_t now_us) const {
    return word_.load(std::memory_order_relaxed) == word(thread, now_us);
  }
  void set(pid_t thread, uint64_t now_us) {
    word_.store(word(thread, now_us), std::memory_order_relaxed);
  }

 private:
  static uint64_t word(pid_t thread, uint64_t now_us) {
    return static_cast<uint64_t>(static_cast<uint32_t>(thread)) << 32 |
           static_cast<uint32_t>(now_us >> 10);
  }
  std::atomic<uint64_t> word_{0};
};

}  // namespace vprocfs
