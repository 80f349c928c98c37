// What LXC's monitor sends about system calls, and what callers of syslog(2) ask of a log. The
// first byte chooses which.

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "input.h"
#include "klog/banner.h"
#include "klog/syslog.h"
#include "log_in_state.h"
#include "seccomp/call.h"
#include "seccomp/message.h"
#include "state/state_file.h"

using namespace vprocfs;

namespace {

constexpr size_t kStateBytes = size_t{1} << 20;
const ContainerId kId = ContainerId::from_packed(7);
constexpr TenantIdentity kTenant{7, 1};

/// What a worker took and did not give is what the next one gives.
void take(fuzz::LogInState& logs, const SyslogCall& call, int memory, bool dies) {
  LogSpan span;
  const std::string text = text_of_syslog(*logs.logs, kId, call, span);
  if (text.size() > std::min(static_cast<size_t>(call.bytes), kSyslogBytes)) std::abort();
  if (!dies) return;
  logs = fuzz::LogInState{};
  logs = fuzz::open_log(memory);
  const bool took = span.kind() != LogSpan::kNone;
  if (took && text_of_syslog(*logs.logs, kId, call, span) != text) std::abort();
}

void ask(fuzz::Input& input) {
  const auto memory = StateFile::make_memfd(kStateBytes);
  if (!memory) return;
  fuzz::LogInState logs = fuzz::open_log(memory.value().get());
  logs.logs->begin(kId, kTenant, [] { return banner_lines({}); });
  uint64_t last = 0;
  while (!input.empty()) {
    const auto what = input.number<uint8_t>();
    if (what % 4 == 0) {
      ++last;
      const std::string text(input.text(what / 4));
      logs.logs->add(kId, kTenant, last, {{last, last, what, text}}, [] { return banner_lines({}); });
      continue;
    }
    seccomp_data data{};
    data.args[0] = what % 4 == 1 ? input.number<uint64_t>() : what / 16;
    data.args[1] = input.number<uint32_t>();
    data.args[2] = what % 4 == 3 ? input.number<uint16_t>() : input.number<uint64_t>();
    const SyslogCall call = syslog_of(data);
    const SyslogAnswer answer = answer_syslog(*logs.logs, kId, call);
    if (answer.value < 0 || (answer.error != 0 && answer.value != 0)) std::abort();
    const bool has_text = answer.kind == SyslogAnswer::Kind::kText;
    if (has_text) take(logs, call, memory.value().get(), what % 8 < 4);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  fuzz::Input input(bytes, size);
  const auto what = input.number<uint8_t>();
  if ((what & 2) != 0) {
    ask(input);
    return 0;
  }
  const std::string_view text = input.rest();
  const auto request = parse_lxc_request(text);
  if (!request) return 0;
  const LxcRequest& found = request.value();
  // The response is written into the packet, and its first `answer_bytes` are sent.
  if (found.answer_bytes > text.size()) std::abort();
  if (found.response_at + sizeof(seccomp_notif_resp) > found.answer_bytes) std::abort();
  return 0;
}
