#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "fuse/caller.h"

namespace vprocfs {

/// Callers whose answers wait for a notice. A tenant can make its notices wait for long, and who
/// waits for them may be a process of the host. Thread-safe.
class Unsettled {
 public:
  /// One copy of a request, as the kernel resends some.
  void add(const Caller& caller);
  void remove(uint64_t request);
  std::optional<Caller> find(uint64_t request) const;
  /// Notes that a check whether a caller was killed is under way. False if one is already.
  bool begin_to_look(uint64_t request);

 private:
  struct Copies {
    Caller caller;
    uint32_t count = 0;
  };
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Copies> requests_;  ///< by Caller::request
};

}  // namespace vprocfs
