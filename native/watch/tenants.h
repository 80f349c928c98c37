#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <unordered_map>

#include "watch/process_namespaces.h"

namespace vprocfs {

/// Gives every tenant a key that is never reused. The kernel reuses the number of an ended
/// namespace at once, and a tenant must not inherit its predecessor's debts. Therefore each
/// tenant's namespace is held open while it is in use and for a while afterwards. Not thread-safe.
class Tenants {
 public:
  /// `limit`: with more tenants than this, sweep() forgets all that are not in use.
  explicit Tenants(size_t limit) : limit_(limit) {}

  /// The key: below 2^52, and its lower 32 bits are the number of the namespace. 0: the host.
  uint64_t key_of(TenantNamespace tenant, uint64_t now_us);
  /// The key of the tenant whose namespace has this number; 0: it is none's that is remembered.
  uint64_t known(uint64_t number) const;
  /// The tenant is no longer in use, unless sweep() is told otherwise.
  void leave(uint64_t key, uint64_t now_us);

  /// When sweep() may have something to do, on the scale of `now_us`; 0: never.
  uint64_t due_us() const { return due_us_; }
  /// Forgets tenants that have not been in use for a while.
  void sweep(const std::function<bool(uint64_t key)>& in_use, uint64_t now_us);
  void clear();

  /// How long a tenant that is not in use, and what it owes, is remembered.
  static constexpr uint64_t kRetainUs = 60'000'000;

 private:
  struct Entry {
    Fd pids;
    uint64_t key = 0;
    uint64_t seen_us = 0;
  };

  const size_t limit_;
  std::unordered_map<uint64_t, Entry> entries_;  ///< by number of the namespace
  uint64_t serial_ = 0;
  uint64_t due_us_ = 0;
};

}  // namespace vprocfs
