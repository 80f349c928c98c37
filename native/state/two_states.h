#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "state/state_file.h"

namespace vprocfs {

/// A value in memory that outlives a worker and may hold anything before the first write(). Of two
/// states one counts; the other is written whole before the word that says which. So a worker that
/// dies at any moment leaves the value before a change or after it, never in between.
template <typename Value>
class TwoStates {
 public:
  void write(const Value& value) {
    const uint64_t other = 1 - current_.load(std::memory_order_relaxed) % 2;
    states_[other] = {value, checksum_of(value)};
    current_.store(other, std::memory_order_release);
  }
  /// nullopt: it is damaged.
  std::optional<Value> read() const {
    const uint64_t current = current_.load(std::memory_order_acquire);
    if (current > 1) return std::nullopt;
    const State state = states_[current];
    return state.checksum == checksum_of(state.value) ? std::optional(state.value) : std::nullopt;
  }

 private:
  struct State {
    Value value;
    uint64_t checksum;
  };
  static_assert(std::has_unique_object_representations_v<State>, "padding has no certain bytes");
  static uint64_t checksum_of(const Value& value) {
    return StateFile::checksum(&value, sizeof value);
  }

  std::atomic<uint64_t> current_;
  State states_[2];
};

}  // namespace vprocfs
