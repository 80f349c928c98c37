#include <algorithm>

#include "base/wide.h"
#include "source/controllers.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// cpu.stat (kernel/cgroup/rstat.c, kernel/sched/core.c).
struct CpuStat {
  std::optional<uint64_t> user, system, nice, throttled;
};
constexpr Key<CpuStat> kStatKeys[] = {{"user_usec", &CpuStat::user},
                                      {"system_usec", &CpuStat::system},
                                      {"nice_usec", &CpuStat::nice},
                                      {"throttled_usec", &CpuStat::throttled}};

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
    // The kernel counts nice time as user time too. Nice time is counted by the tick, and user time
    // is scaled to what was used, so it can be less.
    facts.tells_nice = stat.nice.has_value();
    facts.nice_us = stat.nice.value_or(0);
    if (stat.user) facts.nice_us = std::min(facts.nice_us, *stat.user);
    facts.user_us = saturating_sub(stat.user.value_or(0), facts.nice_us);
    facts.system_us = stat.system.value_or(0);
    facts.throttled_us = stat.throttled.value_or(0);
    return facts;
  }

 private:
  OpenCgroupFile stat_;
};

}  // namespace

std::unique_ptr<CpuTimeSource> make_cpu_time_v2(DirPtr dir) {
  return std::make_unique<CpuTimeV2>(std::move(dir));
}

}  // namespace vprocfs
