#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vprocfs_bench {

/// Latencies in ns, log-linear as HdrHistogram does it: 128 steps per power of two, so every value
/// is kept with an error below 1/128; what is beyond the last bucket (2^40 ns, 18 minutes) counts
/// in it. One writer at a time; lives in shared memory, hence no pointers and all zero when empty.
class Histogram {
 public:
  static constexpr unsigned kStepBits = 7;
  static constexpr unsigned kMaxBits = 40;
  static constexpr size_t kBuckets = (kMaxBits - kStepBits + 1) << kStepBits;

  void record(uint64_t ns) {
    ++buckets_[index(ns)];
    ++count_;
    sum_ += ns;
    if (ns > max_) {
      max_ = ns;
    }
  }

  void add(const Histogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) {
      buckets_[i] += other.buckets_[i];
    }
    count_ += other.count_;
    sum_ += other.sum_;
    if (other.max_ > max_) {
      max_ = other.max_;
    }
  }

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  double mean() const {
    return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  /// The smallest value that at least `quantile` (0..1) of all values do not exceed; exact for the
  /// highest one, else the middle of its bucket. 0 when empty.
  uint64_t at(double quantile) const {
    const double wanted = quantile * static_cast<double>(count_);
    uint64_t seen = 0;
    for (size_t i = 0; i < kBuckets; ++i) {
      seen += buckets_[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) {
        return seen == count_ ? max_ : middle(i);
      }
    }
    return max_;
  }

 private:
  static size_t index(uint64_t ns) {
    if (ns >= (uint64_t{1} << kMaxBits)) {
      return kBuckets - 1;
    }
    if (ns < (uint64_t{1} << (kStepBits + 1))) {
      return static_cast<size_t>(ns);
    }
    const unsigned shift = 63U - static_cast<unsigned>(__builtin_clzll(ns)) - kStepBits;
    return (static_cast<size_t>(shift) << kStepBits) + static_cast<size_t>(ns >> shift);
  }

  static uint64_t middle(size_t index) {
    if (index < (size_t{1} << (kStepBits + 1))) {
      return index;
    }
    const unsigned shift = static_cast<unsigned>(index >> kStepBits) - 1U;
    const uint64_t low = (index - (static_cast<size_t>(shift) << kStepBits)) << shift;
    return low + ((uint64_t{1} << shift) >> 1U);
  }

  uint64_t buckets_[kBuckets];
  uint64_t count_;
  uint64_t sum_;
  uint64_t max_;
};

}  // namespace vprocfs_bench
