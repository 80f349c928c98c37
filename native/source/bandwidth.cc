#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// The same in both versions (kernel/sched/core.c), each in its own unit.
struct Throttled {
  std::optional<uint64_t> us, ns;
};
constexpr Key<Throttled> kThrottledKeys[] = {{"throttled_usec", &Throttled::us},
                                             {"throttled_time", &Throttled::ns}};

/// Both versions differ only in the names of their files, and v1 has a file for each figure.
class Bandwidth : public BandwidthSource {
 public:
  Bandwidth(const DirPtr& dir, ChangeNotifier* notifier, bool v2)
      : quotas_(dir, notifier,
                v2 ? std::vector<const char*>{"cpu.max"}
                   : std::vector<const char*>{"cpu.cfs_quota_us", "cpu.cfs_period_us"},
                v2 ? LimitChain::Reach::kAncestorsV2 : LimitChain::Reach::kAncestors) {
    // cpu.stat.local (6.6) also counts the time in which an ancestor's quota held the cgroup back;
    // cpu.stat only knows the cgroup's own. On v2 it is the source of CPU times that reads it.
    throttled_.emplace_back(dir, "cpu.stat.local");
    if (!v2) throttled_.emplace_back(dir, "cpu.stat");
  }

  Result<std::optional<CpuBandwidth>> read(ReadBuffer& buffer) override {
    if (!quotas_.stale()) return least_;
    least_.reset();
    const auto take = [this](const LimitChain::Texts& texts, size_t) {
      std::string both;
      for (const auto& text : texts) both += text.value_or("") + " ";
      std::string_view rest = both;
      const auto quota = parse_u64(take_word(rest));
      const auto period = parse_u64(take_word(rest));
      if (quota && period && *quota > 0 && *period > 0) take_tighter(least_, {*quota, *period});
    };
    if (auto error = quotas_.refresh(buffer, take)) return *error;
    return least_;
  }

  std::optional<uint64_t> writes() const override { return quotas_.writes(); }

  Result<std::optional<uint64_t>> throttled_us(ReadBuffer& buffer) override {
    for (OpenCgroupFile& file : throttled_) {
      const auto text = file.read(buffer, false);
      if (!text) return text.error();
      if (!text.value()) continue;
      Throttled throttled;
      parse_table(*text.value(), kThrottledKeys, throttled);
      if (throttled.us) return throttled.us;
      if (throttled.ns) return std::optional(*throttled.ns / 1000);
    }
    return std::optional<uint64_t>();
  }

 private:
  LimitChain quotas_;
  std::vector<OpenCgroupFile> throttled_;
  std::optional<CpuBandwidth> least_;
};

}  // namespace

std::unique_ptr<BandwidthSource> make_bandwidth(const DirPtr& dir, ChangeNotifier* notifier,
                                                bool v2) {
  return std::make_unique<Bandwidth>(dir, notifier, v2);
}

}  // namespace vprocfs
