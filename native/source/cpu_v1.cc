#include <algorithm>

#include "base/clock_tick.h"
#include "source/controllers.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

struct Ticks {
  std::optional<uint64_t> user, system;
};
constexpr Key<Ticks> kTicksKeys[] = {{"user", &Ticks::user}, {"system", &Ticks::system}};

/// The totals come from cpuacct.stat: the kernel scales it to the CPU time really used, so that it
/// sums up to cpuacct.usage. The figures in nanoseconds (usage_user, usage_all) are counted by the
/// tick: under short bursts they were off by 9 % where cpuacct.stat was off by less than a tick,
/// and a tick is all that /proc/stat prints. Per CPU there is nothing better than usage_all.
class CpuTimeV1 : public CpuTimeSource {
 public:
  explicit CpuTimeV1(const DirPtr& dir)
      : stat_(dir, "cpuacct.stat"), all_(dir, "cpuacct.usage_all") {}

  Result<CpuUsageFacts> read(ReadBuffer& buffer) override {
    CpuUsageFacts facts;
    const auto text = stat_.read_figures(buffer, false);
    if (!text) return text.error();
    if (text.value()) {
      Ticks ticks;
      parse_table(*text.value(), kTicksKeys, ticks);
      facts.user_us = from_ticks(ticks.user.value_or(0));
      facts.system_us = from_ticks(ticks.system.value_or(0));
    }
    const auto all = all_.read_figures(buffer, false);
    if (!all) return all.error();
    if (all.value()) facts.per_cpu = parse_all(*all.value());
    return facts;
  }

 private:
  static uint64_t from_ticks(uint64_t ticks) {
    return ticks > UINT64_MAX / kClockTickUs ? ticks : ticks * kClockTickUs;
  }

  /// "cpu user system", then a line of nanoseconds for each CPU there may be.
  static std::vector<PerCpuUsage> parse_all(std::string_view text) {
    std::vector<PerCpuUsage> out;
    out.reserve(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')));
    for_each_line(text, [&](std::string_view line) {
      const auto cpu = parse_u64(take_word(line));
      const auto user = parse_u64(take_word(line));
      const auto system = parse_u64(take_word(line));
      if (!cpu || *cpu > kMaxCpuId || !user || !system) return;
      out.push_back({static_cast<uint32_t>(*cpu), *user / 1000, *system / 1000});
    });
    return out;
  }

  OpenCgroupFile stat_, all_;
};

}  // namespace

std::unique_ptr<CpuTimeSource> make_cpu_time_v1(const DirPtr& dir) {
  return std::make_unique<CpuTimeV1>(dir);
}

}  // namespace vprocfs
