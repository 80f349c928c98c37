#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "container/cpu_history.h"
#include "facts/cpu.h"
#include "facts/host.h"
#include "facts/memory.h"

namespace vprocfs {

/// Takes JavaScript values apart; the first that is not as it should be throws a TypeError, and all
/// that is asked for after that is empty.
class ValueReader {
 public:
  explicit ValueReader(Napi::Env env) : env_(env) {}

  bool failed() const { return env_.IsExceptionPending(); }

  void wrong(const char* name, const char* expected) {
    if (failed()) return;
    Napi::TypeError::New(env_, std::string(name) + " must be " + expected)
        .ThrowAsJavaScriptException();
  }

  std::string text(Napi::Value value, const char* name) {
    if (!failed() && value.IsString()) return value.As<Napi::String>().Utf8Value();
    wrong(name, "a string");
    return {};
  }

  /// An object, or an empty one of nobody's after a failure.
  Napi::Object object(Napi::Value value, const char* name) {
    if (!failed() && value.IsObject()) return value.As<Napi::Object>();
    wrong(name, "an object");
    return Napi::Object();
  }

  Napi::Value member(Napi::Object object, const char* name) {
    return failed() || object.IsEmpty() ? Napi::Value() : object.Get(name);
  }

  uint64_t u64(Napi::Value value, const char* name) {
    bool lossless = false;
    if (!failed() && value.IsBigInt()) {
      const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
      if (lossless) return number;
    }
    wrong(name, "a bigint of 64 bits");
    return 0;
  }
  uint64_t u64(Napi::Object object, const char* name) { return u64(member(object, name), name); }

  uint32_t integer(Napi::Value value, const char* name, uint32_t high) {
    const double d = !failed() && value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
    if (d >= 0 && d <= high && d == static_cast<double>(static_cast<uint32_t>(d))) {
      return static_cast<uint32_t>(d);
    }
    wrong(name, "a small integer");
    return 0;
  }

  /// Calls `element(Napi::Value)` for each element.
  template <typename F>
  void each(Napi::Value value, const char* name, F element) {
    if (failed() || !value.IsArray()) return wrong(name, "an array");
    const auto array = value.As<Napi::Array>();
    const uint32_t length = array.Length();
    for (uint32_t i = 0; i < length && !failed(); ++i) {
      const Napi::HandleScope scope(env_);
      element(Napi::Value(array.Get(i)));
    }
  }

  CpuSet cpus(Napi::Value value, const char* name) {
    std::vector<uint32_t> ids;
    each(value, name, [&](Napi::Value id) { ids.push_back(integer(id, name, kHighestCpu)); });
    return CpuSet(std::move(ids));
  }

  CpuSample sample(Napi::Value value) {
    CpuSample out;
    const Napi::Object from = object(value, "sample");
    out.uptime_us = u64(from, "uptimeUs");
    const Napi::Object usage = object(member(from, "usage"), "usage");
    out.usage.user_us = u64(usage, "userUs");
    out.usage.nice_us = u64(usage, "niceUs");
    out.usage.system_us = u64(usage, "systemUs");
    out.usage.throttled_us = u64(usage, "throttledUs");
    each(member(usage, "perCpu"), "perCpu", [&](Napi::Value element) {
      const Napi::Object cpu = object(element, "perCpu");
      const uint32_t id = integer(member(cpu, "cpu"), "cpu", kHighestCpu);
      const uint64_t user = u64(cpu, "userUs");
      out.usage.per_cpu.push_back({id, user, u64(cpu, "systemUs")});
    });
    out.shown = cpus(member(from, "shown"), "shown");
    out.host_cpuset = cpus(member(from, "hostCpuset"), "hostCpuset");
    return out;
  }

 private:
  static constexpr uint32_t kHighestCpu = 65535;
  Napi::Env env_;
};

/// Makes JavaScript values: numbers of 64 bits as bigint, absent ones as null.
class ValueMaker {
 public:
  explicit ValueMaker(Napi::Env env) : env_(env) {}

  Napi::Object object() const { return Napi::Object::New(env_); }
  Napi::Value null() const { return env_.Null(); }
  Napi::Value u64(uint64_t value) const { return Napi::BigInt::New(env_, value); }
  Napi::Value u64(const std::optional<uint64_t>& value) const {
    return value ? u64(*value) : env_.Null();
  }
  Napi::Value integer(uint64_t value) const {
    return Napi::Number::New(env_, static_cast<double>(value));
  }
  Napi::Value text(const std::string& value) const { return Napi::String::New(env_, value); }

  template <typename Items, typename F>
  Napi::Array list(const Items& items, F make) const {
    Napi::Array out = Napi::Array::New(env_);
    uint32_t index = 0;
    for (const auto& item : items) out.Set(index++, make(item));
    return out;
  }

  Napi::Value cpus(const CpuSet& set) const {
    return list(set.ids(), [this](uint32_t id) { return integer(id); });
  }
  Napi::Value cpus(const std::optional<CpuSet>& set) const {
    return set ? cpus(*set) : env_.Null();
  }

  Napi::Object counters(const CpuCounters& counters) const {
    Napi::Object out = object();
    out.Set("userUs", u64(counters.user_us));
    out.Set("niceUs", u64(counters.nice_us));
    out.Set("systemUs", u64(counters.system_us));
    out.Set("idleUs", u64(counters.idle_us));
    out.Set("stealUs", u64(counters.steal_us));
    return out;
  }

  Napi::Value report(const CpuReport& report) const {
    Napi::Object out = object();
    out.Set("cpus", list(report.cpus, [this](const CpuReport::Cpu& cpu) {
              Napi::Object row = counters(cpu.counters);
              row.Set("id", integer(cpu.id));
              return row;
            }));
    out.Set("hidden",
            list(report.hidden, [this](const CpuCounters& hidden) { return counters(hidden); }));
    return out;
  }

  Napi::Value usage(const CpuUsageFacts& usage) const {
    Napi::Object out = object();
    out.Set("userUs", u64(usage.user_us));
    out.Set("niceUs", u64(usage.nice_us));
    out.Set("systemUs", u64(usage.system_us));
    out.Set("throttledUs", u64(usage.throttled_us));
    out.Set("perCpu", list(usage.per_cpu, [this](const PerCpuUsage& cpu) {
              Napi::Object row = object();
              row.Set("cpu", integer(cpu.cpu));
              row.Set("userUs", u64(cpu.user_us));
              row.Set("systemUs", u64(cpu.system_us));
              return row;
            }));
    return out;
  }

  Napi::Value limits(const CpuLimitFacts& limits) const {
    Napi::Object out = object();
    out.Set("cpuset", cpus(limits.cpuset));
    out.Set("bandwidth", env_.Null());
    if (limits.bandwidth) {
      Napi::Object bandwidth = object();
      bandwidth.Set("quotaUs", u64(limits.bandwidth->quota_us));
      bandwidth.Set("periodUs", u64(limits.bandwidth->period_us));
      out.Set("bandwidth", bandwidth);
    }
    return out;
  }

  Napi::Value memory(const MemoryFacts& memory) const {
    Napi::Object out = object();
    out.Set("limitBytes", u64(memory.limit_bytes));
    out.Set("usageBytes", u64(memory.usage_bytes));
    out.Set("swapLimitBytes", u64(memory.swap.limit_bytes));
    out.Set("swapUsedBytes", u64(memory.swap.used_bytes));
    out.Set("swappinessZero", Napi::Boolean::New(env_, memory.swap.swappiness_zero));
    constexpr uint64_t kUsualKb = 2048;
    const HugetlbFacts* usual = memory.limit_of_pages(kUsualKb);
    out.Set("hugetlbLimitBytes",
            u64(usual == nullptr ? std::nullopt : std::optional(usual->limit_bytes)));
    out.Set("hugetlbUsedBytes", u64(usual == nullptr ? 0 : usual->used_bytes));
    out.Set("roomBytes", u64(memory.headroom.free_bytes));
    out.Set("availableRoomBytes", u64(memory.headroom.available_bytes));
    out.Set("swapRoomBytes", u64(memory.headroom.swap_bytes));
    out.Set("stat", stat(memory.stat));
    return out;
  }

  Napi::Value cpuinfo(const HostCpuinfo& info) const {
    Napi::Object out = object();
    out.Set("header", text(info.header));
    out.Set("trailer", text(info.trailer));
    out.Set("blocks", list(info.blocks, [this](const HostCpuinfo::Block& block) {
              Napi::Object row = object();
              row.Set("cpu", integer(block.cpu));
              row.Set("text", text(block.text));
              return row;
            }));
    return out;
  }

 private:
  /// Only the keys that the kernel has.
  Napi::Value stat(const MemoryStat& stat) const {
    Napi::Object out = object();
#define VPROCFS_MEMORY_KEY(key) \
  if (stat.key) out.Set(#key, u64(stat.key));
#include "facts/memory_keys.def"
    return out;
  }

  Napi::Env env_;
};

}  // namespace vprocfs
