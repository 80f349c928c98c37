#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// Both versions differ only in the names of their files (mm/hugetlb_cgroup.c).
class Hugetlb : public HugetlbSource {
 public:
  Hugetlb(DirPtr dir, ChangeNotifier* notifier, bool v2, const std::string& size)
      : limit_name_("hugetlb." + size + (v2 ? ".max" : ".limit_in_bytes")),
        usage_name_("hugetlb." + size + (v2 ? ".current" : ".usage_in_bytes")),
        limits_(dir, notifier, {limit_name_.c_str()},
                v2 ? LimitChain::Reach::kAncestorsV2 : LimitChain::Reach::kAncestors),
        usage_(dir, usage_name_.c_str()) {}

  Result<HugetlbFacts> read(ReadBuffer& buffer) override {
    const bool probe = limits_.stale();
    if (probe) {
      limit_.reset();
      const auto take = [this](const LimitChain::Texts& texts, size_t) {
        if (texts[0]) take_lower(limit_, parse_limit(*texts[0]));
      };
      if (auto error = limits_.refresh(buffer, take)) return *error;
    }
    HugetlbFacts facts;
    facts.limit_bytes = limit_;
    if (!limit_) return facts;
    const auto usage = usage_.read_figures(buffer, probe);
    if (!usage) return usage.error();
    if (usage.value()) facts.used_bytes = parse_u64(*usage.value()).value_or(0);
    return facts;
  }

  std::optional<uint64_t> writes() const override { return limits_.writes(); }

 private:
  const std::string limit_name_, usage_name_;
  LimitChain limits_;
  KeptFile usage_;
  std::optional<uint64_t> limit_;
};

}  // namespace

std::unique_ptr<HugetlbSource> make_hugetlb(DirPtr dir, ChangeNotifier* notifier, bool v2,
                                            const std::string& size) {
  return std::make_unique<Hugetlb>(std::move(dir), notifier, v2, size);
}

}  // namespace vprocfs
