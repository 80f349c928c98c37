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

/// One of the counters of a size, and its limit.
struct Counter {
  Counter(const DirPtr& dir, bool v2, const std::string& name)
      : limit_name(name + (v2 ? ".max" : ".limit_in_bytes")),
        usage_name(name + (v2 ? ".current" : ".usage_in_bytes")),
        usage(dir, usage_name.c_str()) {}

  /// 0 where the kernel has no such counter.
  Result<uint64_t> read(ReadBuffer& buffer, bool probe) {
    const auto text = usage.read_figures(buffer, probe);
    if (!text) return text.error();
    return text.value() ? parse_u64(*text.value()).value_or(0) : 0;
  }

  const std::string limit_name, usage_name;
  OpenCgroupFile usage;
};

/// One size of huge pages.
struct Size {
  Size(const DirPtr& dir, bool v2, uint64_t kb)
      : page_kb(kb),
        in_use(dir, v2, "hugetlb." + size_name(kb)),
        reserved(dir, v2, "hugetlb." + size_name(kb) + ".rsvd") {}

  void forget() {
    limit.reset();
    above.clear();
  }
  void take(const Counter& of, const std::optional<std::string>& text, size_t level) {
    const auto its = text ? parse_limit(*text) : std::nullopt;
    take_lower(limit, its);
    if (its && level > 0) above.push_back({level, &of, *its});
  }

  const uint64_t page_kb;
  Counter in_use;
  Counter reserved;  ///< or in use; since Linux 5.7
  std::optional<uint64_t> limit;
  struct Above {
    size_t level;
    const Counter* of;
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
      for (Size& size : sizes_) size.forget();
      const auto take = [this](const LimitChain::Texts& texts, size_t level) {
        auto text = texts.begin();
        for (Size& size : sizes_) {
          size.take(size.in_use, *text++, level);
          size.take(size.reserved, *text++, level);
        }
      };
      if (auto error = limits_.refresh(buffer, take)) return *error;
    }
    std::vector<HugetlbFacts> facts;
    for (Size& size : sizes_) {
      if (!size.limit) continue;
      const auto used = size.in_use.read(buffer, probe);
      if (!used) return used.error();
      const auto both = size.reserved.read(buffer, probe);
      if (!both) return both.error();
      const uint64_t reserved = saturating_sub(both.value(), used.value());
      facts.push_back(
          {size.page_kb, *size.limit, used.value(), reserved, left_above(size, reserved, buffer)});
    }
    return facts;
  }

  std::optional<uint64_t> writes() const override { return limits_.writes(); }

 private:
  /// Few containers have such limits, so these files are not kept open. What the container has
  /// reserved is free for it.
  uint64_t left_above(const Size& size, uint64_t reserved, ReadBuffer& buffer) const {
    uint64_t left = UINT64_MAX;
    for (const Size::Above& above : size.above) {
      std::string path;
      for (size_t i = 0; i < above.level; ++i) path += "../";
      const auto fd = open_file(dir_->fd(), path + above.of->usage_name);
      if (!fd || buffer.read_record(fd.value().get()) != 0) continue;
      const auto used = parse_u64(trim(buffer.text()));
      if (!used) continue;
      const uint64_t own = above.of == &size.reserved ? reserved : 0;
      left = std::min(left, saturating_add(saturating_sub(above.limit, *used), own));
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
    for (const Size& size : sizes_) {
      out.push_back(size.in_use.limit_name.c_str());
      out.push_back(size.reserved.limit_name.c_str());
    }
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
