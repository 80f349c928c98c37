#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace storm {

inline uint64_t now_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

/// What all readers found, and how long they waited.
class Ledger {
 public:
  void failed(const std::string& what, bool in_flight) {
    const std::lock_guard lock(mutex_);
    ++(in_flight ? in_flight_ : failures_)[what];
  }
  void took(uint64_t us) {
    const std::lock_guard lock(mutex_);
    if (times_.size() < kMaxTimes) times_.push_back(static_cast<uint32_t>(us));
    longest_ = std::max(longest_, us);
    stall_ = std::max(stall_, us);
    ++operations_;
  }
  void whole() { ++reads_; }
  void event() {
    const std::lock_guard lock(mutex_);
    if (began_) stalls_.push_back(stall_);
    began_ = true;
    stall_ = 0;
  }
  void print(size_t hung) {
    event();
    std::sort(times_.begin(), times_.end());
    std::sort(stalls_.begin(), stalls_.end());
    std::printf("{\"reads\":%llu,\"operations\":%llu,\"hung\":%zu,",
                static_cast<unsigned long long>(reads_.load()),
                static_cast<unsigned long long>(operations_), hung);
    print_map("failures", failures_);
    print_map("inFlight", in_flight_);
    std::printf("\"p50Us\":%llu,\"p99Us\":%llu,\"longestUs\":%llu,", at(times_, 50), at(times_, 99),
                static_cast<unsigned long long>(longest_));
    std::printf("\"events\":%zu,\"stallP50Us\":%llu,\"stallP99Us\":%llu,\"stallMaxUs\":%llu}\n",
                stalls_.size(), at(stalls_, 50), at(stalls_, 99), at(stalls_, 100));
    std::fflush(stdout);
  }

 private:
  static constexpr size_t kMaxTimes = 1 << 19;
  template <typename T>
  static unsigned long long at(const std::vector<T>& sorted, size_t percent) {
    if (sorted.empty()) return 0;
    return sorted[std::min(sorted.size() - 1, sorted.size() * percent / 100)];
  }
  static void print_map(const char* name, const std::map<std::string, uint64_t>& counts) {
    std::printf("\"%s\":{", name);
    const char* comma = "";
    for (const auto& [what, n] : counts) {
      std::printf("%s\"%s\":%llu", comma, what.c_str(), static_cast<unsigned long long>(n));
      comma = ",";
    }
    std::printf("},");
  }

  std::mutex mutex_;
  std::map<std::string, uint64_t> failures_, in_flight_;
  std::vector<uint32_t> times_;
  std::vector<uint64_t> stalls_;
  std::atomic<uint64_t> reads_{0};
  uint64_t operations_ = 0, longest_ = 0, stall_ = 0;
  bool began_ = false;
};

}  // namespace storm
