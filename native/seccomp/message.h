#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
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

/// What an OCI runtime sends through linux.seccomp.listenerPath, once per container: the state of
/// the container (ContainerProcessState of the runtime specification), with descriptors.
struct OciHandover {
  size_t listener = 0;  ///< which of the descriptors is the notify descriptor
};

/// Longer ones are refused: annotations are part of it.
inline constexpr size_t kMaxOciState = size_t{1} << 20;
/// Names of descriptors in it at most.
inline constexpr size_t kMaxOciFds = 16;

/// Reads one. EBADMSG when it is none or does not name a notify descriptor; EAGAIN when `text` may
/// only be its beginning.
Result<OciHandover> parse_oci_state(std::string_view text);

}  // namespace vprocfs
