#include "testing/calls.h"

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "seccomp/call.h"
#include "seccomp/message.h"
#include "seccomp/pending_calls.h"
#include "testing/values.h"

namespace vprocfs {

Napi::Value read_lxc_request(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  if (!info[0].IsBuffer()) reader.wrong("packet", "a Buffer");
  if (reader.failed()) return env.Undefined();
  const auto buffer = info[0].As<Napi::Buffer<char>>();
  const auto found = parse_lxc_request(std::string_view(buffer.Data(), buffer.Length()));
  if (!found) return env.Null();
  const ValueMaker maker(env);
  Napi::Object out = maker.object();
  out.Set("id", maker.u64(found.value().notification.id));
  out.Set("pid", maker.integer(found.value().notification.pid));
  out.Set("responseAt", maker.integer(found.value().response_at));
  out.Set("answerBytes", maker.integer(found.value().answer_bytes));
  return out;
}

Napi::Value pending_call_after(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const uint64_t key = reader.u64(info[0], "key");
  const uint64_t id = reader.u64(info[1], "id");
  const uint32_t workers = reader.integer(info[2], "workers", 100);
  if (reader.failed()) return env.Undefined();
  const bool settled = info[3].ToBoolean();
  const auto fd = PendingCalls::make();
  PendingCalls dying;
  if (!fd || !dying.open(fd.value().get())) return env.Null();
  dying.in_flight(0).key = key;
  dying.in_flight(0).answering = id;
  uint64_t found = 0;
  for (uint32_t i = 1; i <= workers; ++i) {
    PendingCalls worker;
    if (!worker.open(fd.value().get())) return env.Null();
    static_cast<void>(worker.leftovers());
    const PendingCalls::Entry* known = worker.answering(key);
    found = known == nullptr ? 0 : known->answering;
    if (settled && i + 1 == workers) worker.settle_answer(key);
  }
  return ValueMaker(env).u64(found);
}

Napi::Value name_call(const Napi::CallbackInfo& info) {
  ValueReader reader(info.Env());
  seccomp_data data{};
  data.arch = reader.integer(info[0], "arch", UINT32_MAX);
  data.nr = static_cast<int>(reader.integer(info[1], "nr", INT32_MAX));
  if (reader.failed()) return info.Env().Undefined();
  const auto [call, is_32bit] = call_of(data);
  constexpr const char* kNames[] = {"other", "sysinfo", "affinity", "syslog"};
  std::string name = kNames[static_cast<size_t>(call)];
  if (call != Call::kOther) name += is_32bit ? "32" : "64";
  return ValueMaker(info.Env()).text(name);
}

Napi::Value encode_sysinfo(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const Napi::Object from = reader.object(info[0], "figures");
  const uint32_t bits = reader.integer(info[1], "bits", 64);
  SysinfoFigures figures;
  figures.uptime_s = reader.u64(from, "uptimeS");
  figures.total = reader.u64(from, "total");
  figures.free = reader.u64(from, "free");
  figures.shared = reader.u64(from, "shared");
  figures.buffers = reader.u64(from, "buffers");
  figures.swap_total = reader.u64(from, "swapTotal");
  figures.swap_free = reader.u64(from, "swapFree");
  figures.tasks = reader.u64(from, "tasks");
  size_t at = 0;
  reader.each(reader.member(from, "loads"), "loads", [&](Napi::Value load) {
    if (at < figures.loads.size()) figures.loads[at++] = reader.u64(load, "load");
  });
  if (reader.failed()) return env.Undefined();
  constexpr uint32_t kPageBytes = 4096;
  const auto bytes = bits == 32 ? encode_sysinfo32(figures, kPageBytes) : encode_sysinfo64(figures);
  return Napi::Buffer<uint8_t>::Copy(env, bytes.data(), bytes.size());
}

}  // namespace vprocfs
