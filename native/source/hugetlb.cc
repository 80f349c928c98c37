#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/wide.h"
#include "base/words.h"
#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// As in the names of the controller's files (mm/hugetlb_cgroup.c mem_fmt).
std::string size_name(uint64_t kb) {
  if (kb >= 1u << 20) return std::to_string(kb >> 20) + "GB";
  if (kb >= 1u << 10) return std::to_string(kb >> 10) + "MB";
  return std::to_string(kb) + "KB";
}

/// One size of huge pages.
struct Size {
  Size(const DirPtr& dir, bool v2, uint64_t kb)
      : page_kb(kb),
        limit_name("hugetlb." + size_name(kb) + (v2 ? ".max" : ".limit_in_bytes")),
        usage_name("hugetlb." + size_name(kb) + (v2 ? ".current" : ".usage_in_bytes")),
        usage(dir, usage_name.c_str()) {}

  const uint64_t page_kb;
  const std::string limit_name, usage_name;
  OpenCgroupFile usage;
  std::optional<uint64_t> limit;
  struct Above {
    size_t level;
    uint64_t limit;
  };
  std::vector<Above> above;  ///< the limits of the cgroups above
};

/// Both versions differ only in the names of their files (mm/hugetlb_cgroup.c).
class Hugetlb : public HugetlbSource {
 public:
  Hugetlb(const DirPtr& dir, ChangeNotifier* notifier, bool v2, const std::vector<uint64_t>& sizes)
      : dir_(dir),
        sizes_(sizes_of(dir, v2, sizes)),
        limits_(dir, notifier, names(),
                v2 ? LimitChain::Reach::kAncestorsV2 : LimitChain::Reach::kAncestors) {}

  Result<std::vector<HugetlbFacts>> read(ReadBuffer& buffer) override {
    const bool probe = limits_.stale();
    if (probe) {
      for (Size& size : sizes_) {
        size.limit.reset();
        size.above.clear();
      }
      const auto take = [this](const LimitChain::Texts& texts, size_t level) {
        for (size_t i = 0; i < sizes_.size(); ++i) {
          const auto limit = texts[i] ? parse_limit(*texts[i]) : std::nullopt;
          take_lower(sizes_[i].limit, limit);
          if (limit && level > 0) sizes_[i].above.push_back({level, *limit});
        }
      };
      if (auto error = limits_.refresh(buffer, take)) return *error;
    }
    std::vector<HugetlbFacts> facts;
    for (Size& size : sizes_) {
      if (!size.limit) continue;
      const auto usage = size.usage.read_figures(buffer, probe);
      if (!usage) return usage.error();
      const uint64_t used = usage.value() ? parse_u64(*usage.value()).value_or(0) : 0;
      facts.push_back({size.page_kb, *size.limit, used, left_above(size, buffer)});
    }
    return facts;
  }

  std::optional<uint64_t> writes() const override { return limits_.writes(); }

 private:
  /// Few containers have such limits, so these files are not kept open.
  uint64_t left_above(const Size& size, ReadBuffer& buffer) const {
    uint64_t left = UINT64_MAX;
    for (const Size::Above& above : size.above) {
      std::string path;
      for (size_t i = 0; i < above.level; ++i) path += "../";
      const auto fd = open_file(dir_->fd(), path + size.usage_name);
      if (!fd || buffer.read_record(fd.value().get()) != 0) continue;
      const auto used = parse_u64(trim(buffer.text()));
      if (used) left = std::min(left, saturating_sub(above.limit, *used));
    }
    return left;
  }

  /// In a deque they stay where they are: the files know their names by address.
  static std::deque<Size> sizes_of(const DirPtr& dir, bool v2, const std::vector<uint64_t>& sizes) {
    std::deque<Size> out;
    for (const uint64_t kb : sizes) out.emplace_back(dir, v2, kb);
    return out;
  }

  std::vector<const char*> names() const {
    std::vector<const char*> out;
    for (const Size& size : sizes_) out.push_back(size.limit_name.c_str());
    return out;
  }

  DirPtr dir_;
  std::deque<Size> sizes_;
  LimitChain limits_;
};

}  // namespace

std::unique_ptr<HugetlbSource> make_hugetlb(DirPtr dir, ChangeNotifier* notifier, bool v2,
                                            const std::vector<uint64_t>& sizes) {
  return std::make_unique<Hugetlb>(dir, notifier, v2, sizes);
}

}  // namespace vprocfs
