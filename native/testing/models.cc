#include "testing/models.h"

#include <string>
#include <vector>

#include "container/cpu_history.h"
#include "container/cpu_model.h"
#include "testing/values.h"
#include "view/stable.h"

namespace vprocfs {

Napi::Value advance_samples(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  std::vector<CpuSample> samples;
  reader.each(info[0], "samples", [&](Napi::Value value) {
    samples.push_back(reader.sample(value));
    if (samples.back().shown.empty()) reader.wrong("shown", "an array of at least one CPU");
  });
  if (reader.failed()) return env.Undefined();
  CpuHistory history;
  const ValueMaker maker(env);
  return maker.list(
      samples, [&](const CpuSample& sample) { return maker.report(advance(history, sample)); });
}

Napi::Value shown_cpus_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  const Napi::Object from = reader.object(info[0], "limits");
  const Napi::Value cpuset = reader.member(from, "cpuset");
  const Napi::Value bandwidth = reader.member(from, "bandwidth");
  CpuLimitFacts limits;
  if (!reader.failed() && !cpuset.IsNull()) limits.cpuset = reader.cpus(cpuset, "cpuset");
  if (!reader.failed() && !bandwidth.IsNull()) {
    const Napi::Object quota = reader.object(bandwidth, "bandwidth");
    const uint64_t quota_us = reader.u64(quota, "quotaUs");
    limits.bandwidth = CpuBandwidth{quota_us, reader.u64(quota, "periodUs")};
    if (limits.bandwidth->period_us == 0) reader.wrong("periodUs", "above 0");
  }
  HostCpus host;
  host.online = reader.cpus(info[1], "online");
  host.possible = host.online;
  if (reader.failed()) return env.Undefined();
  return ValueMaker(env).cpus(shown_cpus(limits, host));
}

Napi::Value stabilised(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ValueReader reader(env);
  std::string text = reader.text(info[0], "text");
  const Napi::Object before = reader.object(info[1], "before");
  const uint32_t bytes = reader.integer(reader.member(before, "bytes"), "bytes", UINT32_MAX);
  const uint32_t seam = reader.integer(reader.member(before, "seam"), "seam", UINT32_MAX);
  if (!info[2].IsBoolean()) reader.wrong("fixed", "a boolean");
  if (reader.failed()) return env.Undefined();
  const StableLength length = stabilise(text, {bytes, seam}, info[2].As<Napi::Boolean>());
  const ValueMaker maker(env);
  Napi::Object out = maker.object();
  out.Set("text", maker.text(text));
  out.Set("bytes", maker.integer(length.bytes));
  out.Set("seam", maker.integer(length.seam));
  return out;
}

}  // namespace vprocfs
