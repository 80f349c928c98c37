#pragma once

#include <linux/seccomp.h>

#include <cerrno>
#include <cstdint>

#include "seccomp/abi.h"

namespace vprocfs {

/// How a call ends for its caller.
struct Verdict {
  enum class Kind : uint8_t {
    kPass,                ///< the kernel runs the call
    kReply,               ///< the call returns `value`, or fails with `error` if that is not 0
    kReleaseFromMonitor,  ///< the kernel refuses this answer, so the call goes on waiting
  } kind = Kind::kPass;
  int64_t value = 0;
  int error = 0;  ///< an errno value

  static constexpr Verdict returns(int64_t value) { return {Kind::kReply, value, 0}; }
  static constexpr Verdict fails(int with) { return {Kind::kReply, 0, with}; }

  seccomp_notif_resp response(uint64_t id) const {
    seccomp_notif_resp out{};
    out.id = id;
    if (kind == Kind::kPass) {
      out.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else if (kind == Kind::kReleaseFromMonitor) {
      // The kernel fails with EINVAL for unknown flags (seccomp_notify_send() of kernel/seccomp.c).
      out.flags = ~0u;
    } else {
      out.val = error == 0 ? value : 0;
      out.error = -error;
    }
    return out;
  }
};

/// The verdict for a call that gets no answer of ours: the kernel runs it, unless it is syslog(2).
/// That fails with EPERM, because the kernel would return the host's log.
inline Verdict fallback_verdict(const seccomp_data& data) {
  return is_syslog(data) ? Verdict::fails(EPERM) : Verdict{};
}

}  // namespace vprocfs
