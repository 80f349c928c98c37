#pragma once

#include <cstdint>
#include <tuple>

namespace vprocfs {

/// Which tenant it is, whatever cgroups its init goes to, which name it: its PID namespace, which
/// no container chooses, and when that began, since the kernel reuses the numbers of namespaces.
struct TenantIdentity {
  uint64_t pid_namespace = 0, start_us = 0;  ///< CLOCK_BOOTTIME

  friend bool operator!=(const TenantIdentity& a, const TenantIdentity& b) {
    return std::tie(a.pid_namespace, a.start_us) != std::tie(b.pid_namespace, b.start_us);
  }
  friend bool operator<(const TenantIdentity& a, const TenantIdentity& b) {
    return std::tie(a.pid_namespace, a.start_us) < std::tie(b.pid_namespace, b.start_us);
  }
};

}  // namespace vprocfs
