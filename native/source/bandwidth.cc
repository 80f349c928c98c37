#include <sys/stat.h>

#include <algorithm>

#include "base/wide.h"
#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// Those farther above are not asked for throttled time: containers choose how deep they nest, and
/// for each of them all between are looked at.
constexpr size_t kFarthestAbove = 8;

/// The same in both versions (kernel/sched/core.c), each in its own unit.
struct Throttled {
  std::optional<uint64_t> us, ns;
};
constexpr Key<Throttled> kThrottledKeys[] = {{"throttled_usec", &Throttled::us},
                                             {"throttled_time", &Throttled::ns}};

std::optional<uint64_t> throttled_of(std::string_view text) {
  Throttled throttled;
  parse_table(text, kThrottledKeys, throttled);
  if (throttled.us || !throttled.ns) return throttled.us;
  return *throttled.ns / 1000;
}

/// Both versions differ only in the names of their files, and v1 has a file for each figure.
class Bandwidth : public BandwidthSource {
 public:
  Bandwidth(const DirPtr& dir, ChangeNotifier* notifier, bool v2)
      : dir_(dir),
        quotas_(dir, notifier,
                v2 ? std::vector<const char*>{"cpu.max"}
                   : std::vector<const char*>{"cpu.cfs_quota_us", "cpu.cfs_period_us"},
                v2 ? LimitChain::Reach::kAncestorsV2 : LimitChain::Reach::kAncestors),
        local_(dir, "cpu.stat.local"),
        own_(dir, "cpu.stat"),
        v2_(v2) {}

  Result<std::optional<CpuBandwidth>> read(ReadBuffer& buffer) override {
    if (!quotas_.stale()) return least_;
    least_.reset();
    for (Above& above : above_) above.limited = false;
    const auto take = [this](const LimitChain::Texts& texts, size_t level) {
      std::string both;
      for (const auto& text : texts) both += text.value_or("") + " ";
      std::string_view rest = both;
      const auto quota = parse_u64(take_word(rest));
      const auto period = parse_u64(take_word(rest));
      if (!quota || !period || *quota == 0 || *period == 0) return;
      take_tighter(least_, {*quota, *period});
      if (level > 0 && level <= kFarthestAbove) above_at(level).limited = true;
    };
    if (auto error = quotas_.refresh(buffer, take)) return *error;
    return least_;
  }

  std::optional<uint64_t> writes() const override { return quotas_.writes(); }

  /// cpu.stat.local (6.6) also counts the time in which an ancestor's quota held the cgroup back;
  /// cpu.stat only knows the cgroup's own. On v2 the source of CPU times reads that too.
  Result<std::optional<uint64_t>> throttled_us(ReadBuffer& buffer) override {
    const auto local = read_throttled(local_, buffer);
    if (!local || local.value()) return local;
    if (v2_ && above_.empty()) return std::optional<uint64_t>();
    auto own = read_throttled(own_, buffer);
    if (!own || above_.empty()) return own;
    uint64_t sum = own.value().value_or(0);
    for (Above& above : above_) {
      take_above(above, buffer);
      sum = saturating_add(sum, above.counted_us);
    }
    return std::optional(sum);
  }

 private:
  /// A cgroup above that has a quota, or had one.
  struct Above {
    size_t level = 0;
    bool limited = false, was_counted = true;
    uint64_t seen_us = 0, counted_us = 0;
  };

  Above& above_at(size_t level) {
    const auto at = std::find_if(above_.begin(), above_.end(),
                                 [level](const Above& above) { return above.level == level; });
    if (at != above_.end()) return *at;
    above_.emplace_back();
    above_.back().level = level;
    return above_.back();
  }

  static Result<std::optional<uint64_t>> read_throttled(OpenCgroupFile& file, ReadBuffer& buffer) {
    const auto text = file.read(buffer, false);
    if (!text) return text.error();
    return text.value() ? throttled_of(*text.value()) : std::nullopt;
  }

  /// What an ancestor's quota takes, it takes from this cgroup where there is no other one below
  /// the ancestor (lxc.cgroup.dir.container.inner: lxc/100 has the quota, lxc/100/ns is the
  /// container). Else nothing tells whether it was this one that wanted to run.
  void take_above(Above& above, ReadBuffer& buffer) const {
    std::string path;
    bool alone = above.limited;
    for (size_t level = 1; level <= above.level && alone; ++level) {
      path += "../";
      struct stat directory {};
      // "." and its own entry, and a ".." in each directory below.
      alone = ::fstatat(dir_->fd(), path.c_str(), &directory, 0) == 0 && directory.st_nlink == 3;
    }
    if (!alone) {
      above.was_counted = false;
      return;
    }
    const auto fd = open_file(dir_->fd(), path + "cpu.stat");
    if (!fd || buffer.read_record(fd.value().get()) != 0) return;
    const auto reading = throttled_of(buffer.text());
    if (!reading) return;
    if (above.was_counted) {
      above.counted_us = saturating_add(above.counted_us, saturating_sub(*reading, above.seen_us));
    }
    above.seen_us = *reading;
    above.was_counted = true;
  }

  DirPtr dir_;
  LimitChain quotas_;
  OpenCgroupFile local_, own_;
  const bool v2_;
  std::vector<Above> above_;
  std::optional<CpuBandwidth> least_;
};

}  // namespace

std::unique_ptr<BandwidthSource> make_bandwidth(const DirPtr& dir, ChangeNotifier* notifier,
                                                bool v2) {
  return std::make_unique<Bandwidth>(dir, notifier, v2);
}

}  // namespace vprocfs
