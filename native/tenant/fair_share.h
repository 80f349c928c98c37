#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace vprocfs {

/// Limits the CPU time that the requests of all tenants together take while others compete for the
/// CPUs, and each tenant's fair share of it. Works in windows of half a second: a window's share is
/// that of the window before, lowered if all tenants together took too much and raised if they left
/// some. Thread-safe without locks, so what one thread notes at the start of a window may be lost.
class FairShare {
 public:
  static constexpr uint64_t kWindowUs = 500'000;

  /// `each_us`: what one tenant may have in any case; `all_us`: what all together may have, 0: no
  /// limit. Both in µs a second.
  FairShare(uint64_t each_us, uint64_t all_us) : each_us_(each_us), all_us_(all_us) {
    for (Window& window : windows_) window.share_us = each_us;
  }

  /// The CPU time from which on a tenant counts as a heavy user in this window: half of the share,
  /// or a hundredth of a CPU if that is less.
  uint64_t heavy_us(uint64_t now_us) {
    const uint64_t share_us = at(now_us).share_us.load(std::memory_order_relaxed);
    return std::max<uint64_t>(1, std::min(per_window(share_us) / 2, kWindowUs / 100));
  }

  /// A tenant was charged `took_us`; `is_heavy`: with that it became a heavy user of this window.
  void note(uint64_t now_us, uint64_t took_us, bool is_heavy) {
    Window& window = at(now_us);
    window.used_us.fetch_add(took_us, std::memory_order_relaxed);
    if (is_heavy) window.heavy_tenants.fetch_add(1, std::memory_order_relaxed);
  }

  /// By how much the CPU time of a tenant is scaled before it counts against `each_us`, in
  /// thousandths: 1000 while `each_us` is its share.
  uint64_t weight(uint64_t now_us) {
    const uint64_t share_us = at(now_us).share_us.load(std::memory_order_relaxed);
    return share_us == 0 ? kWhole : std::max(kWhole, each_us_ * kWhole / share_us);
  }

  /// The weight at which CPU time counts for what it is.
  static constexpr uint64_t kWhole = 1000;

 private:
  struct Window {
    std::atomic<uint64_t> number{0}, used_us{0}, heavy_tenants{0}, share_us{0};
  };

  static uint64_t per_window(uint64_t per_second) { return per_second * kWindowUs / 1'000'000; }

  /// The current window, started by the first thread that asks for it.
  Window& at(uint64_t now_us) {
    const uint64_t number = now_us / kWindowUs;
    Window& window = windows_[number % windows_.size()];
    if (window.number.load(std::memory_order_relaxed) != number &&
        window.number.exchange(number, std::memory_order_relaxed) != number) {
      window.used_us.store(0, std::memory_order_relaxed);
      window.heavy_tenants.store(0, std::memory_order_relaxed);
      window.share_us.store(share_after(windows_[(number + 2) % windows_.size()], number),
                            std::memory_order_relaxed);
    }
    return window;
  }

  uint64_t share_after(const Window& before, uint64_t number) const {
    if (all_us_ == 0 || before.number.load(std::memory_order_relaxed) + 1 != number) {
      return each_us_;
    }
    const uint64_t share_us = before.share_us.load(std::memory_order_relaxed);
    const uint64_t used_us = before.used_us.load(std::memory_order_relaxed);
    const uint64_t all_us = per_window(all_us_);
    if (used_us > all_us) {
      // While the CPUs are free no tenant is limited to its share: it must not shrink to nothing.
      const uint64_t heavy_tenants =
          std::max<uint64_t>(1, before.heavy_tenants.load(std::memory_order_relaxed));
      return std::min(each_us_,
                      std::max(share_us * all_us / used_us, all_us_ / (2 * heavy_tenants)));
    }
    return used_us * 10 < all_us * 8 ? std::min(each_us_, share_us * 5 / 4 + 1) : share_us;
  }

  const uint64_t each_us_, all_us_;
  std::array<Window, 3> windows_;  ///< by number; the third is started only after the first ended
};

/// One tenant in a FairShare. Thread-safe as that is.
class FairShareMember {
 public:
  /// The tenant was charged `took_us`.
  void note(FairShare& fair_share, uint64_t now_us, uint64_t took_us) {
    const uint64_t number = now_us / FairShare::kWindowUs;
    if (window_.load(std::memory_order_relaxed) != number &&
        window_.exchange(number, std::memory_order_relaxed) != number) {
      used_us_.store(0, std::memory_order_relaxed);
      weight_.store(fair_share.weight(now_us), std::memory_order_relaxed);
    }
    const uint64_t heavy_us = fair_share.heavy_us(now_us);
    const uint64_t before_us = used_us_.fetch_add(took_us, std::memory_order_relaxed);
    fair_share.note(now_us, took_us, before_us < heavy_us && before_us + took_us >= heavy_us);
  }

  /// What `took_us` counts for: more than it is while many tenants ask for much CPU time.
  uint64_t counted_us(uint64_t took_us) const {
    return took_us * weight_.load(std::memory_order_relaxed) / FairShare::kWhole;
  }

  /// Whether its CPU time counts for more than it is.
  bool is_scaled() const { return weight_.load(std::memory_order_relaxed) > FairShare::kWhole; }

 private:
  std::atomic<uint64_t> window_{0}, used_us_{0}, weight_{FairShare::kWhole};
};

}  // namespace vprocfs
