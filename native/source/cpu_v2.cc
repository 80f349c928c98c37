#include "base/wide.h"
#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// cpu.stat and cpu.stat.local (kernel/cgroup/rstat.c, kernel/sched/core.c).
struct CpuStat {
  std::optional<uint64_t> user, system, nice, throttled;
};
constexpr Key<CpuStat> kStatKeys[] = {{"user_usec", &CpuStat::user},
                                      {"system_usec", &CpuStat::system},
                                      {"nice_usec", &CpuStat::nice},
                                      {"throttled_usec", &CpuStat::throttled}};

class BandwidthV2 : public BandwidthSource {
 public:
  BandwidthV2(DirPtr dir, ChangeNotifier* notifier)
      : quotas_(dir, notifier, {"cpu.max"}, LimitChain::Reach::kAncestorsV2),
        local_(dir, "cpu.stat.local") {}

  Result<std::optional<CpuBandwidth>> read(ReadBuffer& buffer) override {
    if (!quotas_.stale()) return least_;
    least_.reset();
    const auto take = [this](const LimitChain::Texts& texts, size_t) {
      if (!texts[0]) return;
      std::string_view text = trim(*texts[0]);
      const auto quota = parse_u64(take_word(text));
      const auto period = parse_u64(take_word(text));
      if (quota && period && *quota > 0 && *period > 0) take_tighter(least_, {*quota, *period});
    };
    if (auto error = quotas_.refresh(buffer, take)) return *error;
    return least_;
  }

  std::optional<uint64_t> writes() const override { return quotas_.writes(); }

  /// cpu.stat.local (6.6) also counts the time in which an ancestor's quota held the cgroup back;
  /// cpu.stat only knows the cgroup's own.
  Result<std::optional<uint64_t>> throttled_us(ReadBuffer& buffer) override {
    const auto text = local_.read(buffer, false);
    if (!text) return text.error();
    CpuStat stat;
    if (text.value()) parse_table(*text.value(), kStatKeys, stat);
    return stat.throttled;
  }

 private:
  LimitChain quotas_;
  KeptFile local_;
  std::optional<CpuBandwidth> least_;
};

class CpuTimeV2 : public CpuTimeSource {
 public:
  explicit CpuTimeV2(DirPtr dir) : stat_(std::move(dir), "cpu.stat") {}

  Result<CpuUsageFacts> read(ReadBuffer& buffer) override {
    CpuUsageFacts facts;
    const auto text = stat_.read_figures(buffer, false);
    if (!text) return text.error();
    if (!text.value()) return facts;
    CpuStat stat;
    parse_table(*text.value(), kStatKeys, stat);
    facts.nice_us = stat.nice.value_or(0);
    // The kernel counts nice time as user time too.
    facts.user_us = saturating_sub(stat.user.value_or(0), facts.nice_us);
    facts.system_us = stat.system.value_or(0);
    facts.throttled_us = stat.throttled.value_or(0);
    return facts;
  }

 private:
  KeptFile stat_;
};

}  // namespace

std::unique_ptr<BandwidthSource> make_bandwidth_v2(DirPtr dir, ChangeNotifier* notifier) {
  return std::make_unique<BandwidthV2>(std::move(dir), notifier);
}

std::unique_ptr<CpuTimeSource> make_cpu_time_v2(DirPtr dir) {
  return std::make_unique<CpuTimeV2>(std::move(dir));
}

}  // namespace vprocfs
