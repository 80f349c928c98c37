#include "seccomp/message.h"

#include <cerrno>
#include <cstring>

#include "base/json.h"

namespace vprocfs {
namespace {

/// The beginning of LXC's packet; the kernel's notification, its response and a cookie follow, the
/// former two in the sizes that the monitor's kernel has given it.
struct LxcHeader {
  uint64_t reserved;
  int32_t monitor_pid, init_pid;
  uint16_t notification_bytes, response_bytes, data_bytes, padding;
  uint64_t cookie_bytes;
};
static_assert(sizeof(LxcHeader) == 32);

// What every kernel has at least; what newer ones add comes after it.
constexpr size_t kNotificationBytes = sizeof(seccomp_notif);
constexpr size_t kResponseBytes = sizeof(seccomp_notif_resp);

constexpr std::string_view kBlanks = " \t\r\n";

/// Whether a text has all its brackets closed: what does not is still coming.
bool is_closed(std::string_view text) {
  int depth = 0;
  bool quoted = false, begun = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
      begun = true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return begun && !quoted && depth <= 0;
}

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

Result<OciHandover> parse_oci_state(std::string_view text) {
  const Error malformed{EBADMSG, "container process state"};
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return Error{EAGAIN, malformed.path};
  if (text[first] != '{' || text.size() > kMaxOciState) return malformed;
  const bool may_end = text[text.find_last_not_of(kBlanks)] == '}';
  if (!may_end || !is_closed(text)) return Error{EAGAIN, malformed.path};
  size_t names = 0, listeners = 0;
  OciHandover out;
  const bool whole = read_json(text, [&](const JsonLeaf& leaf) {
    if (leaf.path != "/fds") return;
    if (leaf.quoted && leaf.value == "seccompFd") {
      out.listener = names;
      ++listeners;
    }
    ++names;
  });
  if (!whole || listeners != 1 || names > kMaxOciFds) return malformed;
  return out;
}

}  // namespace vprocfs
