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
      : stat_(dir, "cpuacct.stat", OpenCgroupFile::Lifetime::kWithCgroup),
        all_(dir, "cpuacct.usage_all", OpenCgroupFile::Lifetime::kWithCgroup),
        rows_(Rows{{dir, "cpuacct.usage_percpu_user", OpenCgroupFile::Lifetime::kWithCgroup},
                   {dir, "cpuacct.usage_percpu_sys", OpenCgroupFile::Lifetime::kWithCgroup}}) {}

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
    if (all.value()) {
      facts.per_cpu = parse_all(*all.value());
      rows_.reset();
    } else if (auto error = read_rows(buffer, facts.per_cpu)) {
      return *error;
    }
    return facts;
  }

 private:
  static uint64_t from_ticks(uint64_t ticks) {
    return ticks > UINT64_MAX / kClockTickUs ? ticks : ticks * kClockTickUs;
  }

  /// "cpu user system", then a line of nanoseconds for each CPU there may be.
  static std::vector<PerCpuUsage> parse_all(std::string_view text) {
    std::vector<PerCpuUsage> out;
    for_each_line(text, [&](std::string_view line) {
      const auto cpu = parse_u64(take_word(line));
      const auto user = parse_u64(take_word(line));
      const auto system = parse_u64(take_word(line));
      if (!cpu || *cpu > kMaxCpuId || !user || !system) return;
      out.push_back({static_cast<uint32_t>(*cpu), *user / 1000, *system / 1000});
    });
    return out;
  }

  /// The same from kernels without usage_all: a row of numbers per file.
  std::optional<Error> read_rows(ReadBuffer& buffer, std::vector<PerCpuUsage>& out) {
    if (!rows_) return std::nullopt;
    const auto user = rows_->user.read_figures(buffer, false);
    if (!user) return user.error();
    if (!user.value()) return std::nullopt;
    const std::vector<uint64_t> users = parse_row(*user.value());
    const auto system = rows_->system.read_figures(buffer, false);
    if (!system) return system.error();
    if (!system.value()) return std::nullopt;
    const std::vector<uint64_t> systems = parse_row(*system.value());
    const size_t count = std::min(users.size(), systems.size());
    for (size_t i = 0; i < count; ++i) {
      out.push_back({static_cast<uint32_t>(i), users[i] / 1000, systems[i] / 1000});
    }
    return std::nullopt;
  }

  static std::vector<uint64_t> parse_row(std::string_view text) {
    std::vector<uint64_t> out;
    for (text = trim(text); !text.empty() && out.size() <= kMaxCpuId;) {
      const auto value = parse_u64(take_word(text));
      if (!value) return {};
      out.push_back(*value);
    }
    return out;
  }

  struct Rows {
    OpenCgroupFile user, system;
  };

  OpenCgroupFile stat_, all_;
  std::optional<Rows> rows_;  ///< until usage_all was found
};

}  // namespace

std::unique_ptr<CpuTimeSource> make_cpu_time_v1(const DirPtr& dir) {
  return std::make_unique<CpuTimeV1>(dir);
}

}  // namespace vprocfs
