#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

namespace vprocfs {

class Container;
class HostSource;

/// Whether others than one tenant want the node's CPUs. Thread-safe.
class Rivals {
 public:
  /// What has been used up to now, µs.
  struct Use {
    uint64_t at_us = 0;      ///< now, CLOCK_BOOTTIME
    uint64_t cpus = 0;       ///< of the node
    uint64_t idle_us = 0;    ///< no CPU time at all, all CPUs together
    uint64_t daemon_us = 0;  ///< by us
    uint64_t tenant_us = 0;  ///< by the tenant
  };

  /// True for one caller every 250 ms, who is to note() the use.
  bool due(uint64_t now_us) {
    uint64_t due_us = due_us_.load(std::memory_order_relaxed);
    return now_us >= due_us && due_us_.compare_exchange_strong(due_us, now_us + kLookUs);
  }

  /// The tenant's is that of its outermost container. What cannot be read is 0.
  static Use use_of(HostSource& host, Container* outermost, uint64_t now_us);

  /// There are others when less than a tenth of the node was idle since the use that was noted
  /// before, at most 2 s ago, and others had a fifth of a CPU. The kernel tells of both in steps of
  /// 10 ms.
  void note(const Use& use) {
    const std::lock_guard lock(mutex_);
    const Use before = std::exchange(last_, use);
    if (use.at_us <= before.at_us || use.at_us - before.at_us > kLongestUs) return;
    const uint64_t took_us = use.at_us - before.at_us;
    const uint64_t idle_us = since(before.idle_us, use.idle_us);
    const uint64_t ours_us =
        since(before.daemon_us, use.daemon_us) + since(before.tenant_us, use.tenant_us);
    const uint64_t all_us = use.cpus * took_us;
    const bool is_full = idle_us * 10 < all_us;
    const bool has_others = since(idle_us + ours_us, all_us) * 5 > took_us;
    seen_.store(is_full && has_others, std::memory_order_relaxed);
    if (is_full && has_others) lasts_until_us_ = use.at_us + kLastsUs;
  }

  /// Whether there were when it was looked last.
  bool seen() const { return seen_.load(std::memory_order_relaxed); }
  /// Whether there are, or were a moment ago.
  bool any(uint64_t now_us) const {
    return now_us < lasts_until_us_.load(std::memory_order_relaxed);
  }

 private:
  static uint64_t since(uint64_t before, uint64_t now) { return now > before ? now - before : 0; }

  static constexpr uint64_t kLookUs = 250'000, kLastsUs = 1'000'000, kLongestUs = 2'000'000;

  std::atomic<uint64_t> due_us_{0}, lasts_until_us_{0};
  std::atomic<bool> seen_{false};
  std::mutex mutex_;
  Use last_;  ///< guarded by mutex_
};

}  // namespace vprocfs
