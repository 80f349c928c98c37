#pragma once

#include "container/cpu_history.h"
#include "facts/cpu.h"
#include "testing/values.h"

namespace vprocfs {

constexpr auto members(const PerCpuUsage*) {
  using S = PerCpuUsage;
  return std::tuple(member("cpu", &S::cpu), member("userUs", &S::user_us),
                    member("systemUs", &S::system_us));
}

constexpr auto members(const CpuUsageFacts*) {
  using S = CpuUsageFacts;
  return std::tuple(member("userUs", &S::user_us), member("niceUs", &S::nice_us),
                    member("systemUs", &S::system_us), member("throttledUs", &S::throttled_us),
                    member("perCpu", &S::per_cpu));
}

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
