// What LXC's monitor and OCI runtimes send about system calls. The first byte chooses which.

#include <cstdlib>

#include "input.h"
#include "seccomp/message.h"

using namespace vprocfs;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  fuzz::Input input(bytes, size);
  const bool lxc = (input.number<uint8_t>() & 1) == 0;
  const std::string_view text = input.rest();
  if (!lxc) {
    const auto handover = parse_oci_state(text);
    if (handover && handover.value().listener >= kMaxOciFds) std::abort();
    return 0;
  }
  const auto request = parse_lxc_request(text);
  if (!request) return 0;
  const LxcRequest& found = request.value();
  // The response is written into the packet, and its first `answer_bytes` are sent.
  if (found.answer_bytes > text.size()) std::abort();
  if (found.response_at + sizeof(seccomp_notif_resp) > found.answer_bytes) std::abort();
  return 0;
}
