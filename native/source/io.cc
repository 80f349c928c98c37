#include <vector>

#include "source/controllers.h"
#include "source/io_parse.h"
#include "source/limit_chain.h"

namespace vprocfs {
namespace {

class IoV2 : public IoSource {
 public:
  IoV2(DirPtr dir, ChangeNotifier* notifier)
      : dir_(dir),
        limits_(dir, notifier, {"io.max"}, LimitChain::Reach::kAncestorsV2),
        stat_(dir, "io.stat") {}

  Result<IoFacts> read(ReadBuffer& buffer, bool with_requests) override {
    static_cast<void>(with_requests);
    const bool probe = limits_.stale();
    if (probe) {
      limited_.devices.clear();
      const auto take = [this](const LimitChain::Texts& texts, size_t) {
        if (texts[0]) add_io_max(*texts[0], limited_);
      };
      if (auto error = limits_.refresh(buffer, take)) return *error;
    }
    // Empty until the container's first request: that says nothing of the cgroup's life.
    const auto stat = stat_.read(buffer, probe);
    if (!stat) return stat.error();
    if (!stat.value() && !dir_->alive()) return dir_->gone();
    IoFacts facts = limited_;
    if (stat.value()) add_io_stat(*stat.value(), facts);
    return facts;
  }

 private:
  DirPtr dir_;
  LimitChain limits_;
  OpenCgroupFile stat_;
  IoFacts limited_;
};

class IoV1 : public IoSource {
 public:
  explicit IoV1(const DirPtr& dir) {
    for (const BlkioFile& file : kBlkioFiles) {
      files_.push_back({{dir, file.name}, {dir, file.older}, file.unit});
    }
  }

  Result<IoFacts> read(ReadBuffer& buffer, bool with_requests) override {
    IoFacts facts;
    facts.loses_ended = true;
    for (File& file : files_) {
      if (file.unit == IoUnit::kRequests && !with_requests) continue;
      auto text = file.file.read_figures(buffer, false);
      if (text && !text.value()) text = file.older.read_figures(buffer, false);
      if (!text) return text.error();
      if (text.value()) add_blkio(*text.value(), file.unit, facts);
    }
    return facts;
  }

 private:
  struct File {
    OpenCgroupFile file, older;
    IoUnit unit;
  };
  std::vector<File> files_;
};

}  // namespace

std::unique_ptr<IoSource> make_io_v1(const DirPtr& dir) { return std::make_unique<IoV1>(dir); }

std::unique_ptr<IoSource> make_io_v2(DirPtr dir, ChangeNotifier* notifier) {
  return std::make_unique<IoV2>(std::move(dir), notifier);
}

}  // namespace vprocfs
