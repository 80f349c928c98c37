#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace vprocfs {

/// What LXC's monitor asks through lxc.seccomp.notify.proxy: one packet per call, whose first
/// `answer_bytes` come back with the response filled in.
struct LxcRequest {
  seccomp_notif notification{};
  size_t response_at = 0;   ///< where in the packet the response stands
  size_t answer_bytes = 0;  ///< the packet without its cookie
};

/// Longer packets are nobody's.
inline constexpr size_t kMaxLxcPacket = 8192;

/// Reads a packet. Its descriptors are, in this order: the caller's directory in /proc, the
/// caller's memory, the notify descriptor. EBADMSG when it is none.
Result<LxcRequest> parse_lxc_request(std::string_view packet);

}  // namespace vprocfs
