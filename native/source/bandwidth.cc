#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

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

std::optional<uint64_t> throttled_of(std::string_view text) {
  Throttled throttled;
  parse_table(text, kThrottledKeys, throttled);
  if (throttled.us || !throttled.ns) return throttled.us;
  return *throttled.ns / 1000;
}

/// Whether the hierarchy's root as we see it has nothing above. What a cgroup namespace hides may
/// have a quota.
bool sees_all_above(const CgroupDir& dir, bool v2) {
  std::string root;
  for (size_t level = 0; level < dir.depth(); ++level) root += "../";
  // The true root is the only cgroup that has the one, and the only one without the other.
  if (!v2) return ::faccessat(dir.fd(), (root + "release_agent").c_str(), F_OK, 0) == 0;
  return ::faccessat(dir.fd(), (root + "cgroup.events").c_str(), F_OK, 0) != 0 && errno == ENOENT;
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
        v2_(v2),
        sees_all_(sees_all_above(*dir, v2)) {}

  Result<std::optional<CpuBandwidth>> read(ReadBuffer& buffer) override {
    if (!quotas_.stale()) return least_;
    least_.reset();
    told_us_.reset();
    limited_above_.clear();
    const auto take = [this](const LimitChain::Texts& texts, size_t level) {
      std::string both;
      for (const auto& text : texts) both += text.value_or("") + " ";
      std::string_view rest = both;
      const auto quota = parse_u64(take_word(rest));
      const auto period = parse_u64(take_word(rest));
      if (!quota || !period || *quota == 0 || *period == 0) return;
      take_tighter(least_, {*quota, *period});
      if (level > 0 && level <= kQuotaLevels) limited_above_.push_back(level);
    };
    if (auto error = quotas_.refresh(buffer, take)) return *error;
    return least_;
  }

  std::optional<uint64_t> writes() const override { return quotas_.writes(); }

  /// cpu.stat.local (6.6) also counts the time in which an ancestor's quota held the cgroup back;
  /// cpu.stat only knows the cgroup's own. On v2 the source of CPU times reads that.
  std::optional<Error> read_throttled(ReadBuffer& buffer, bool is_alive,
                                      CpuUsageFacts& facts) override {
    if (is_alive && told_us_ && has_no_quota()) {
      facts.throttled_us = *told_us_;
      return std::nullopt;
    }
    auto told = read_time(local_, buffer);
    const bool counts_all = told && told.value();
    if (told && !counts_all && !v2_) told = read_time(own_, buffer);
    if (!told) return told.error();
    told_us_ = told.value();
    if (told_us_) facts.throttled_us = *told_us_;
    if (counts_all) return std::nullopt;
    for (const size_t level : limited_above_) read_above(level, buffer, facts.quotas_above);
    return std::nullopt;
  }

 private:
  static Result<std::optional<uint64_t>> read_time(OpenCgroupFile& file, ReadBuffer& buffer) {
    const auto text = file.read(buffer, false);
    if (!text) return text.error();
    return text.value() ? throttled_of(*text.value()) : std::nullopt;
  }

  /// Nothing throttles it then, nor did since read().
  bool has_no_quota() const { return sees_all_ && !least_ && !quotas_.stale(); }

  /// On v1, and in threaded cgroups, processes can be in a cgroup that has others below.
  bool has_no_process(const std::string& path, ReadBuffer& buffer) const {
    const auto fd = open_file(dir_->fd(), path + "cgroup.procs");
    return !fd || (buffer.read_record(fd.value().get()) == 0 && buffer.text().empty());
  }

  /// What an ancestor's quota takes, it takes from this cgroup where there is no other one below
  /// the ancestor, nor a process in between (lxc.cgroup.dir.container.inner: lxc/100 has the quota,
  /// lxc/100/ns is the container). Else nothing tells whether it was this one that wanted to run.
  void read_above(size_t level, ReadBuffer& buffer, std::vector<QuotaAbove>& to) const {
    std::string path;
    bool alone = true;
    for (size_t i = 1; i <= level && alone; ++i) {
      path += "../";
      struct stat directory {};
      // "." and its own entry, and a ".." in each directory below.
      alone = ::fstatat(dir_->fd(), path.c_str(), &directory, 0) == 0 && directory.st_nlink == 3 &&
              has_no_process(path, buffer);
    }
    if (!alone) {
      to.push_back({level, std::nullopt});
      return;
    }
    const auto fd = open_file(dir_->fd(), path + "cpu.stat");
    if (!fd || buffer.read_record(fd.value().get()) != 0) return;
    if (const auto us = throttled_of(buffer.text())) to.push_back({level, us});
  }

  DirPtr dir_;
  LimitChain quotas_;
  OpenCgroupFile local_, own_;
  const bool v2_, sees_all_;
  std::vector<size_t> limited_above_;  ///< levels
  std::optional<CpuBandwidth> least_;
  std::optional<uint64_t> told_us_;  ///< throttled, since the quotas were read
};

}  // namespace

std::unique_ptr<BandwidthSource> make_bandwidth(const DirPtr& dir, ChangeNotifier* notifier,
                                                bool v2) {
  return std::make_unique<Bandwidth>(dir, notifier, v2);
}

}  // namespace vprocfs
