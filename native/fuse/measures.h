#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "fuse/operations.h"

namespace vprocfs {

/// How a request ended.
enum class Outcome : uint8_t {
  kOk,
  kGone,         ///< ENOENT, ESRCH: the container or the name is not there (any more)
  kRefused,      ///< EACCES, EPERM, ENFILE, ...: asked for what is not granted
  kInterrupted,  ///< EINTR: the caller was killed or interrupted while it waited
  kFailed,       ///< EIO: a source could not be read
};
inline constexpr size_t kOutcomes = 5;
const char* to_text(Outcome outcome);
Outcome outcome_of(int errno_value);

/// How many requests ended how, by file, and how long they took. Each thread writes to a slot of
/// its own (threads beyond the number of slots share one), so that none waits for another's cache
/// line; whoever asks adds the slots up.
class Measures {
 public:
  static constexpr size_t kFiles = 256;   ///< by View::index; 0: not about a file
  static constexpr size_t kBuckets = 32;  ///< bucket i: below 2^i µs, and not below 2^(i-1)

  void add(uint32_t opcode, uint16_t file, Outcome outcome, uint64_t took_ns);

  struct Sum {
    std::array<std::array<uint64_t, kOutcomes>, kFiles> requests{};
    std::array<std::array<uint64_t, kBuckets>, kOperations> buckets{};
    std::array<uint64_t, kOperations> took_ns{};
  };
  /// Adds what was measured to `sum`.
  void add_to(Sum& sum) const;

 private:
  static constexpr size_t kSlots = 16;
  using Counter = std::atomic<uint64_t>;
  struct alignas(64) Slot {
    std::array<std::array<Counter, kOutcomes>, kFiles> requests{};
    std::array<std::array<Counter, kBuckets>, kOperations> buckets{};
    std::array<Counter, kOperations> took_ns{};
  };
  std::array<Slot, kSlots> slots_{};
};

}  // namespace vprocfs
