#include "seccomp/message.h"

#include <cerrno>
#include <cstring>

namespace vprocfs {
namespace {

/// The beginning of LXC's packet. The kernel's notification, its response and a cookie follow; the
/// monitor asks its kernel for the sizes of the first two.
struct LxcHeader {
  uint64_t reserved;
  int32_t monitor_pid, init_pid;
  uint16_t notification_bytes, response_bytes, data_bytes, padding;
  uint64_t cookie_bytes;
};
static_assert(sizeof(LxcHeader) == 32);

// Every kernel's structures have at least these sizes; newer kernels append fields.
constexpr size_t kNotificationBytes = sizeof(seccomp_notif);
constexpr size_t kResponseBytes = sizeof(seccomp_notif_resp);

}  // namespace

Result<LxcRequest> parse_lxc_request(std::string_view packet) {
  const Error malformed{EBADMSG, "LXC's request"};
  LxcHeader header;
  if (packet.size() < sizeof(header) || packet.size() > kMaxLxcPacket) return malformed;
  std::memcpy(&header, packet.data(), sizeof(header));
  const size_t notification = header.notification_bytes, response = header.response_bytes;
  if (header.reserved != 0 || notification < kNotificationBytes || response < kResponseBytes) {
    return malformed;
  }
  LxcRequest out;
  out.response_at = sizeof(header) + notification;
  out.answer_bytes = out.response_at + response;
  if (packet.size() < out.answer_bytes || packet.size() - out.answer_bytes != header.cookie_bytes) {
    return malformed;
  }
  std::memcpy(&out.notification, packet.data() + sizeof(header), kNotificationBytes);
  return out;
}

}  // namespace vprocfs
