#include "seccomp/call.h"
#include "seccomp/message.h"
#include "seccomp/pending_calls.h"
#include "testing/parts.h"
#include "testing/values.h"

namespace vprocfs {

constexpr auto members(const SysinfoFigures*) {
  using S = SysinfoFigures;
  return std::tuple(member("uptimeS", &S::uptime_s), member("loads", &S::loads),
                    member("total", &S::total), member("free", &S::free),
                    member("shared", &S::shared), member("buffers", &S::buffers),
                    member("swapTotal", &S::swap_total), member("swapFree", &S::swap_free),
                    member("tasks", &S::tasks));
}

namespace {

/// (packet: Buffer) -> what LXC asks; null when it is no request.
Napi::Value read_lxc_request(Napi::Env env, const Bytes& packet) {
  const auto found = parse_lxc_request(packet.text);
  if (!found) return env.Null();
  const LxcRequest& request = found.value();
  return JsObject(env)
      .set("id", uint64_t{request.notification.id})
      .set("pid", request.notification.pid)
      .set("responseAt", Number(request.response_at))
      .set("answerBytes", Number(request.answer_bytes));
}

/// (key, id, workers, settled) -> the answer to monitor `key` that the last of so many workers,
/// which follow one that died while it gave answer `id`, finds not settled; 0: none. `settled`: the
/// one before it has settled it.
std::optional<uint64_t> pending_call_after(uint64_t key, uint64_t id, UpTo<100> workers,
                                           bool settled) {
  const auto fd = PendingCalls::make();
  PendingCalls dying;
  if (!fd || !dying.open(fd.value().get())) return std::nullopt;
  dying.in_flight(0).key = key;
  dying.in_flight(0).answering = id;
  uint64_t found = 0;
  for (uint32_t i = 1; i <= workers; ++i) {
    PendingCalls worker;
    if (!worker.open(fd.value().get())) return std::nullopt;
    static_cast<void>(worker.leftovers());
    const PendingCalls::Entry* known = worker.answering(key);
    found = known == nullptr ? 0 : known->answering;
    if (settled && i + 1 == workers) worker.settle_answer(key);
  }
  return found;
}

/// (arch, nr) -> "sysinfo64", ..., "other"
std::string name_call(uint32_t arch, int32_t nr) {
  seccomp_data data{};
  data.arch = arch;
  data.nr = nr;
  const auto [call, is_32bit] = call_of(data);
  constexpr const char* kNames[] = {"other", "sysinfo", "affinity", "syslog"};
  std::string name = kNames[static_cast<size_t>(call)];
  if (call != Call::kOther) name += is_32bit ? "32" : "64";
  return name;
}

/// ({ uptimeS, loads, total, ... }: bigints, bits) -> the bytes that a caller gets.
Bytes encode_sysinfo(const SysinfoFigures& figures, uint32_t bits) {
  constexpr uint32_t kPageBytes = 4096;
  return Bytes(bits == 32 ? encode_sysinfo32(figures, kPageBytes) : encode_sysinfo64(figures));
}

}  // namespace

void add_calls(Napi::Object& exports) {
  add<read_lxc_request>(exports, "readLxcRequest");
  add<pending_call_after>(exports, "pendingCallAfter");
  add<name_call>(exports, "nameCall");
  add<encode_sysinfo>(exports, "encodeSysinfo");
}

}  // namespace vprocfs
