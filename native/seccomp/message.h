#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace vprocfs {

/// A question of LXC's monitor (lxc.seccomp.notify.proxy), one packet for each call. The answer is
/// its first `answer_bytes` bytes with the response filled in.
struct LxcRequest {
  seccomp_notif notification{};
  size_t response_at = 0;   ///< where in the packet the response stands
  size_t answer_bytes = 0;  ///< the packet without its cookie
};

/// No monitor sends a longer packet, in bytes.
inline constexpr size_t kMaxLxcPacket = 8192;

/// Reads a packet. Its descriptors are, in this order: the caller's directory in /proc, the
/// caller's memory, the notify descriptor. EBADMSG: the packet is malformed.
Result<LxcRequest> parse_lxc_request(std::string_view packet);

}  // namespace vprocfs
