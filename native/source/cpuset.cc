#include <utility>
#include <vector>

#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// The effective set changes with CPU hotplug and with the siblings' partitions too, which nobody
/// tells of: it is read each time, from the nearest file that has one. Watched are the files that
/// it follows from, and on v2 those that decide which cgroup has the controller.
class Cpuset : public CpusetSource {
 public:
  /// `names`: files with the effective set, the best first. `written`: where it is configured.
  Cpuset(DirPtr dir, ChangeNotifier* notifier, bool v2, std::vector<const char*> names,
         const char* written)
      : dir_(dir),
        names_(std::move(names)),
        files_(dir, notifier, {written},
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
    if (auto error = files_.refresh(buffer, [](const LimitChain::Texts&, size_t) {})) {
      return *error;
    }
    const auto visit = [&](int dir_fd, size_t level) -> std::optional<Error> {
      for (const char* name : names_) {
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
  const std::vector<const char*> names_;
  LimitChain files_;
  const bool v2_;
  Fd fd_;
  bool searched_ = false;
  size_t level_ = 0;           ///< of `fd_`, counted from the container's cgroup up
  bool passed_empty_ = false;  ///< a nearer file is there, and empty
};

}  // namespace

std::unique_ptr<CpusetSource> make_cpuset(DirPtr dir, ChangeNotifier* notifier, bool v2) {
  return std::make_unique<Cpuset>(
      std::move(dir), notifier, v2,
      v2 ? std::vector<const char*>{"cpuset.cpus.effective"}
         : std::vector<const char*>{"cpuset.effective_cpus", "cpuset.cpus"},
      "cpuset.cpus");
}

std::unique_ptr<FactsSource<std::optional<CpuSet>>> make_allowed_nodes(const CgroupPlace& place) {
  return std::make_unique<Cpuset>(
      place.dir, place.notifier, place.v2,
      place.v2 ? std::vector<const char*>{"cpuset.mems.effective"}
               : std::vector<const char*>{"cpuset.effective_mems", "cpuset.mems"},
      "cpuset.mems");
}

}  // namespace vprocfs
