#include "container/load_history.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/wide.h"
#include "facts/cpu.h"

namespace vprocfs {
namespace {

constexpr unsigned kFractionBits = 11;  // FSHIFT
static_assert(kFixedOne == uint64_t{1} << kFractionBits);

/// What is left of an average after one period: 1/exp(5s/1min), 1/exp(5s/5min), 1/exp(5s/15min)
/// (EXP_1, EXP_5 and EXP_15).
constexpr std::array<uint64_t, 3> kDecay = {1884, 2014, 2037};

/// More tasks than any node has: sums stay within 64 bits.
constexpr uint64_t kMaxActive = uint64_t{1} << 32;
/// A year of periods: nothing is left of an average after that.
constexpr uint64_t kMaxPeriods = 6'300'000;

/// `base` to the power of `exponent`, rounded after every multiplication (fixed_power_int()).
uint64_t power(uint64_t base, uint64_t exponent) {
  constexpr uint64_t kHalf = uint64_t{1} << (kFractionBits - 1);
  uint64_t result = kFixedOne;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = (result * base + kHalf) >> kFractionBits;
    base = (base * base + kHalf) >> kFractionBits;
  }
  return result;
}

/// One step (calc_load()): rises are rounded up, so that a constant load is reached.
uint64_t step(uint64_t average, uint64_t decay, uint64_t active) {
  uint64_t sum = average * decay + active * (kFixedOne - decay);
  if (active >= average) sum += kFixedOne - 1;
  return sum / kFixedOne;
}

void take_periods(LoadHistory& history, uint64_t active, uint64_t periods) {
  const uint64_t fixed = std::min(active, kMaxActive) * kFixedOne;
  const uint64_t count = std::min(periods, kMaxPeriods);
  for (size_t i = 0; i < kDecay.size(); ++i) {
    history.averages[i] = step(history.averages[i], power(kDecay[i], count), fixed);
  }
}

struct Packed {
  uint64_t sampled_us;
  uint64_t averages[3];
};
static_assert(std::is_trivially_copyable_v<Packed>);

}  // namespace

void start_load(LoadHistory& history, uint64_t active, uint64_t now_us, uint64_t uptime_us) {
  history = LoadHistory{};
  history.started = true;
  history.sampled_us = now_us;
  take_periods(history, active, uptime_us / kLoadPeriodUs);
}

void advance_load(LoadHistory& history, uint64_t active, uint64_t now_us) {
  const uint64_t elapsed = saturating_sub(now_us, history.sampled_us);
  const uint64_t periods = (elapsed + kLoadPeriodUs / 2) / kLoadPeriodUs;
  if (periods == 0) return;
  take_periods(history, active, periods);
  history.sampled_us = now_us;
}

std::string pack_load(const LoadHistory& history) {
  const Packed packed{history.sampled_us,
                      {history.averages[0], history.averages[1], history.averages[2]}};
  return std::string(reinterpret_cast<const char*>(&packed), sizeof(packed));
}

bool unpack_load(const void* data, size_t bytes, LoadHistory& out) {
  Packed packed;
  if (bytes != sizeof(packed)) return false;
  std::memcpy(&packed, data, sizeof(packed));
  out.started = true;
  out.sampled_us = packed.sampled_us;
  for (size_t i = 0; i < out.averages.size(); ++i) {
    // Whatever stands there, what is printed has to be a number of tasks.
    out.averages[i] = std::min(packed.averages[i], kMaxActive * kFixedOne);
  }
  return true;
}

}  // namespace vprocfs
