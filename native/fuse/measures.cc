#include "fuse/measures.h"

#include <algorithm>
#include <cerrno>

namespace vprocfs {
namespace {

size_t slot_of_thread(size_t slots) {
  static std::atomic<size_t> threads{0};
  thread_local const size_t mine = threads.fetch_add(1, std::memory_order_relaxed);
  return mine % slots;
}

/// The number of bits of `us`: 0 for 0, so that bucket i holds what is below 2^i.
size_t bucket_of(uint64_t ns, size_t buckets) {
  const uint64_t us = ns / 1000;
  const size_t bits = us == 0 ? 0 : 64 - static_cast<size_t>(__builtin_clzll(us));
  return std::min(bits, buckets - 1);
}

void bump(std::atomic<uint64_t>& counter, uint64_t by) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace

const char* to_text(Outcome outcome) {
  static constexpr const char* kTexts[kOutcomes] = {"ok", "gone", "refused", "interrupted",
                                                    "failed"};
  return kTexts[static_cast<size_t>(outcome)];
}

Outcome outcome_of(int errno_value) {
  switch (errno_value) {
    case 0:
      return Outcome::kOk;
    case ENOENT:
    case ESRCH:
      return Outcome::kGone;
    case EINTR:
      return Outcome::kInterrupted;
    case EIO:
      return Outcome::kFailed;
    default:
      return Outcome::kRefused;
  }
}

void Measures::add(uint32_t opcode, uint16_t file, Outcome outcome, uint64_t took_ns) {
  Slot& slot = slots_[slot_of_thread(kSlots)];
  const auto operation = static_cast<size_t>(operation_of(opcode).measured);
  bump(slot.requests[file < kFiles ? file : 0][static_cast<size_t>(outcome)], 1);
  bump(slot.buckets[operation][bucket_of(took_ns, kBuckets)], 1);
  bump(slot.took_ns[operation], took_ns);
}

void Measures::add_to(Sum& out) const {
  const auto load = [](const Counter& counter) { return counter.load(std::memory_order_relaxed); };
  for (const Slot& slot : slots_) {
    for (size_t file = 0; file < kFiles; ++file) {
      for (size_t i = 0; i < kOutcomes; ++i) out.requests[file][i] += load(slot.requests[file][i]);
    }
    for (size_t operation = 0; operation < kOperations; ++operation) {
      for (size_t i = 0; i < kBuckets; ++i) {
        out.buckets[operation][i] += load(slot.buckets[operation][i]);
      }
      out.took_ns[operation] += load(slot.took_ns[operation]);
    }
  }
}

}  // namespace vprocfs
