#pragma once

#include <optional>
#include <vector>

#include "container/cpu_history.h"
#include "facts/cpu.h"
#include "testing/values.h"

namespace vprocfs {

constexpr auto members(const PerCpuUsage*) {
  using S = PerCpuUsage;
  return std::tuple(member("cpu", &S::cpu), member("userUs", &S::user_us),
                    member("systemUs", &S::system_us));
}

template <>
struct Js<QuotaAbove> {
  static QuotaAbove from(const Given& given) {
    return {given.member("level").between(1, kQuotaLevels),
            given.member("throttledUs").as<std::optional<uint64_t>>()};
  }
  static Napi::Value to(Napi::Env env, const QuotaAbove& quota) {
    return JsObject(env).set("level", Number(quota.level)).set("throttledUs", quota.throttled_us);
  }
};
/// Most tests know of none.
template <>
struct Js<std::vector<QuotaAbove>> {
  static std::vector<QuotaAbove> from(const Given& given) {
    std::vector<QuotaAbove> out;
    if (given.value.IsUndefined()) return out;
    given.each([&out](const Given& one) { out.push_back(one.as<QuotaAbove>()); });
    return out;
  }
  static Napi::Value to(Napi::Env env, const std::vector<QuotaAbove>& quotas) {
    return list_of(env, quotas,
                   [env](const QuotaAbove& one) { return Js<QuotaAbove>::to(env, one); });
  }
};

constexpr auto members(const CpuUsageFacts*) {
  using S = CpuUsageFacts;
  return std::tuple(member("userUs", &S::user_us), member("niceUs", &S::nice_us),
                    member("systemUs", &S::system_us), member("throttledUs", &S::throttled_us),
                    member("quotasAbove", &S::quotas_above), member("perCpu", &S::per_cpu));
}

template <>
struct Js<CpuUsageFacts> {
  static CpuUsageFacts from(const Given& given) {
    auto out = take_members<CpuUsageFacts>(given);
    out.tells_nice = given.member("tellsNice").as<std::optional<bool>>().value_or(false);
    return out;
  }
  static Napi::Value to(Napi::Env env, const CpuUsageFacts& usage) {
    Napi::Object out = made_of_members(env, usage);
    out.Set("tellsNice", usage.tells_nice);
    return out;
  }
};

constexpr auto members(const CpuBandwidth*) {
  using S = CpuBandwidth;
  return std::tuple(member("quotaUs", &S::quota_us), member("periodUs", &S::period_us));
}
template <>
struct Js<CpuBandwidth> {
  static CpuBandwidth from(const Given& given) {
    const auto out = take_members<CpuBandwidth>(given);
    if (out.period_us == 0) given.wrong("of a period above 0");
    return out;
  }
  static Napi::Value to(Napi::Env env, const CpuBandwidth& bandwidth) {
    return made_of_members(env, bandwidth);
  }
};

constexpr auto members(const CpuLimitFacts*) {
  using S = CpuLimitFacts;
  return std::tuple(member("cpuset", &S::cpuset), member("bandwidth", &S::bandwidth));
}

constexpr auto members(const CpuSample*) {
  using S = CpuSample;
  return std::tuple(member("uptimeUs", &S::uptime_us), member("usage", &S::usage),
                    member("shown", &S::shown), member("hostCpuset", &S::host_cpuset));
}
template <>
struct Js<CpuSample> {
  static CpuSample from(const Given& given) {
    auto out = take_members<CpuSample>(given);
    if (out.shown.empty()) given.wrong("of at least one CPU");
    return out;
  }
};

constexpr auto members(const CpuCounters*) {
  using S = CpuCounters;
  return std::tuple(member("userUs", &S::user_us), member("niceUs", &S::nice_us),
                    member("systemUs", &S::system_us), member("idleUs", &S::idle_us),
                    member("stealUs", &S::steal_us));
}
template <>
struct Js<CpuReport::Cpu> {
  static Napi::Value to(Napi::Env env, const CpuReport::Cpu& cpu) {
    Napi::Object out = made_of_members(env, cpu.counters);
    out.Set("id", Js<uint32_t>::to(env, cpu.id));
    return out;
  }
};

constexpr auto members(const CpuReport*) {
  using S = CpuReport;
  return std::tuple(member("cpus", &S::cpus), member("hidden", &S::hidden));
}

}  // namespace vprocfs
