#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace vprocfs {

/// CPU time that all tenants together take for their requests, and how many take much of it: what
/// each may have while others want the CPUs is then less. Time goes in windows of half a second;
/// what counts is the window before. Thread-safe, without locks: at a window's begin a piece may be
/// lost.
class Crowd {
 public:
  static constexpr uint64_t kWindowUs = 500'000;
  /// A tenant that takes so much in a window takes much: a fiftieth of a CPU.
  static constexpr uint64_t kMuchUs = kWindowUs / 50;

  /// A tenant was charged `took_us`; `is_much`: with that it has taken much in this window.
  void note(uint64_t now_us, uint64_t took_us, bool is_much) {
    const uint64_t number = now_us / kWindowUs;
    Window& window = windows_[number % windows_.size()];
    if (window.number.exchange(number, std::memory_order_relaxed) != number) {
      window.used_us.store(0, std::memory_order_relaxed);
      window.many.store(0, std::memory_order_relaxed);
    }
    window.used_us.fetch_add(took_us, std::memory_order_relaxed);
    if (is_much) window.many.fetch_add(1, std::memory_order_relaxed);
  }

  /// How many thousandths of what a tenant takes are to count against its `each_us`, µs a second:
  /// 1000 unless all together took nearly `all_us` in the window before. Then those that take much
  /// share that among them, and none is given more than `each_us`.
  uint64_t weight(uint64_t now_us, uint64_t each_us, uint64_t all_us) const {
    const uint64_t number = now_us / kWindowUs;
    const Window& window = windows_[(number + windows_.size() - 1) % windows_.size()];
    if (all_us == 0 || window.number.load(std::memory_order_relaxed) + 1 != number) return 1000;
    // While it is kept to that it takes hardly less.
    const uint64_t used_us = window.used_us.load(std::memory_order_relaxed);
    if (used_us * (1'000'000 / kWindowUs) * 10 < all_us * 8) return 1000;
    // Where nobody takes much there are too many.
    const uint64_t found = window.many.load(std::memory_order_relaxed);
    const uint64_t many = found > 0 ? found : used_us / kMuchUs;
    return std::max<uint64_t>(1000, many * each_us * 1000 / all_us);
  }

 private:
  struct Window {
    std::atomic<uint64_t> number{0}, used_us{0}, many{0};
  };
  std::array<Window, 3> windows_;  ///< by number; the third one is begun only after the first ended
};

}  // namespace vprocfs
