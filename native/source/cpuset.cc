#include <string_view>
#include <utility>
#include <vector>

#include "base/words.h"
#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// Whether cpuset.cpus.partition says that the cgroup is a partition, and a valid one
/// (Documentation/admin-guide/cgroup-v2.rst).
bool is_partition(std::string_view text) {
  const std::string_view state = trim(text);
  return state == "root" || state == "isolated";
}

/// The effective set changes with CPU hotplug and with the siblings' partitions too, which nobody
/// tells of: it is read each time, from the nearest file that has one. Watched are the files that
/// it follows from, and on v2 those that decide which cgroup has the controller.
///
/// The effective set of a partition lacks the CPUs of the partitions below it, and may be empty.
/// These are the container's own as well: another set is read then, which has both.
class Cpuset : public CpusetSource {
 public:
  /// Names of files, the best first.
  using Names = std::vector<const char*>;

  /// `names`: with the effective set. `of_partition`: with the CPUs of a partition, before those.
  /// `written`: where both are configured; the second one tells whether it is a partition.
  Cpuset(DirPtr dir, ChangeNotifier* notifier, bool v2, Names names, Names written,
         Names of_partition = {})
      : dir_(dir),
        names_(std::move(names)),
        of_partition_(std::move(of_partition)),
        files_(dir, notifier, std::move(written),
               v2 ? LimitChain::Reach::kAncestorsV2 : LimitChain::Reach::kAncestors),
        v2_(v2) {}

  Result<std::optional<CpuSet>> read(ReadBuffer& buffer) override {
    if (searched_ && !may_have_moved()) {
      if (!fd_) return checked(std::nullopt);
      const int code = buffer.read_record(fd_.get());
      if (code == 0) {
        if (auto set = parse_cpu_list(buffer.text())) return checked(std::move(set));
      } else if (!is_absence(code)) {
        return dir_->error(code, names_[0]);
      }
    }
    return find(buffer);
  }

  std::optional<uint64_t> writes() const override { return files_.writes(); }

 private:
  /// Whether a nearer file than the one in use may have come to hold a set.
  bool may_have_moved() const {
    return files_.stale() || (v2_ ? passed_empty_ : !fd_ || level_ > 0);
  }

  Result<std::optional<CpuSet>> find(ReadBuffer& buffer) {
    fd_.reset();
    passed_empty_ = false;
    std::optional<CpuSet> found;
    Names own = names_;
    const auto look = [&](const LimitChain::Texts& texts, size_t level) {
      if (level > 0 || texts.size() < 2 || !texts[1] || !is_partition(*texts[1])) return;
      own.insert(own.begin(), of_partition_.begin(), of_partition_.end());
    };
    if (auto error = files_.refresh(buffer, look)) return *error;
    const auto visit = [&](int dir_fd, size_t level) -> std::optional<Error> {
      for (const char* name : level == 0 ? own : names_) {
        if (found) break;
        if (auto error = try_file(dir_fd, name, buffer, found)) return error;
        level_ = level;
      }
      return std::nullopt;
    };
    searched_ = false;
    if (auto error = dir_->climb(visit)) return *error;
    searched_ = true;
    return checked(std::move(found));
  }

  std::optional<Error> try_file(int dir_fd, const char* name, ReadBuffer& buffer,
                                std::optional<CpuSet>& found) {
    auto fd = open_file(dir_fd, name);
    const int code = fd ? buffer.read_record(fd.value().get()) : fd.error().code;
    if (code != 0) {
      if (is_absence(code)) return std::nullopt;
      return dir_->error(code, name);
    }
    found = parse_cpu_list(buffer.text());
    if (found) {
      fd_ = std::move(fd.value());
    } else {
      passed_empty_ = true;
    }
    return std::nullopt;
  }

  /// An ancestor's set is no sign of life.
  Result<std::optional<CpuSet>> checked(std::optional<CpuSet> set) const {
    if ((level_ > 0 || !fd_) && !dir_->alive()) return dir_->gone();
    return set;
  }

  DirPtr dir_;
  const Names names_, of_partition_;
  LimitChain files_;
  const bool v2_;
  Fd fd_;
  bool searched_ = false;
  size_t level_ = 0;           ///< of `fd_`, counted from the container's cgroup up
  bool passed_empty_ = false;  ///< a nearer file is there, and empty
};

}  // namespace

std::unique_ptr<CpusetSource> make_cpuset(DirPtr dir, ChangeNotifier* notifier, bool v2) {
  if (!v2) {
    return std::make_unique<Cpuset>(std::move(dir), notifier, v2,
                                    Cpuset::Names{"cpuset.effective_cpus", "cpuset.cpus"},
                                    Cpuset::Names{"cpuset.cpus"});
  }
  // Before Linux 6.7 no file tells what a partition was given of what was configured.
  return std::make_unique<Cpuset>(std::move(dir), notifier, v2,
                                  Cpuset::Names{"cpuset.cpus.effective"},
                                  Cpuset::Names{"cpuset.cpus", "cpuset.cpus.partition"},
                                  Cpuset::Names{"cpuset.cpus.exclusive.effective", "cpuset.cpus"});
}

std::unique_ptr<FactsSource<std::optional<CpuSet>>> make_allowed_nodes(const CgroupPlace& place) {
  return std::make_unique<Cpuset>(place.dir, place.notifier, place.v2,
                                  place.v2 ? Cpuset::Names{"cpuset.mems.effective"}
                                           : Cpuset::Names{"cpuset.effective_mems", "cpuset.mems"},
                                  Cpuset::Names{"cpuset.mems"});
}

}  // namespace vprocfs
