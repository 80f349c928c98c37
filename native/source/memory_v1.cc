#include <algorithm>

#include "base/wide.h"
#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/memory_levels.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// memory.stat of v1 (mm/memcontrol-v1.c). Only the "total_" keys count descendants too.
struct StatV1 : MemoryStat {
  std::optional<uint64_t> memory_limit, memsw_limit, swap;
};

constexpr Key<StatV1> kStatKeys[] = {
    {"hierarchical_memory_limit", &StatV1::memory_limit},
    {"hierarchical_memsw_limit", &StatV1::memsw_limit},
#define VPROCFS_MEMORY_KEY(key)
#define VPROCFS_MEMORY_KEY_OF(key, v1_key) {#v1_key, &StatV1::key},
#include "facts/memory_keys.def"
    {"total_swap", &StatV1::swap},
};

StatV1 parse_stat(std::string_view text) {
  // The cgroup's own figures, without its descendants, come before its limits.
  const size_t limits = text.find("\nhierarchical_memory_limit ");
  StatV1 stat;
  parse_table(text.substr(limits == text.npos ? 0 : limits + 1), kStatKeys, stat);
  return stat;
}

constexpr MemoryLevels::Files kFiles = {
    "memory.usage_in_bytes", "memory.stat", "memory.memsw.usage_in_bytes",
    [](std::string_view text) -> MemoryStat { return parse_stat(text); }};

std::optional<uint64_t> real_limit(const std::optional<uint64_t>& value) {
  return value && *value < kNoLimitBytes ? value : std::nullopt;
}

class MemoryV1 : public MemorySource {
 public:
  MemoryV1(DirPtr dir, ChangeNotifier* notifier)
      : usage_(dir, "memory.usage_in_bytes"),
        stat_(dir, "memory.stat"),
        memsw_usage_(dir, "memory.memsw.usage_in_bytes"),
        oom_control_(dir, "memory.oom_control"),
        swappiness_(dir, notifier, {"memory.swappiness"}, LimitChain::Reach::kSelf),
        limits_(dir, notifier, {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"},
                LimitChain::Reach::kAncestors),
        levels_(dir, kFiles) {}

  Result<MemoryFacts> read(ReadBuffer& buffer, MemoryEvents events,
                           const HostMemorySize& host) override {
    MemoryFacts facts;
    if (auto error = read_swappiness(buffer)) return *error;
    if (auto error = read_limits(buffer)) return *error;
    const auto usage = usage_.read_figures(buffer, false);
    if (!usage) return usage.error();
    if (usage.value()) facts.usage_bytes = parse_u64(*usage.value());

    const auto text = stat_.read_figures(buffer, false);
    if (!text) return text.error();
    const StatV1 stat = text.value() ? parse_stat(*text.value()) : StatV1();
    facts.stat = stat;
    if (events != MemoryEvents::kNone && text.value()) add_events(*text.value(), facts);
    if (events == MemoryEvents::kAll) {
      if (auto error = add_oom_kills(oom_control_, false, buffer, facts)) return *error;
    }
    // The kernel has taken the minimum over the ancestors already.
    facts.limit_bytes = real_limit(stat.memory_limit);
    facts.swap.limit_bytes = swap_limit(facts.limit_bytes, real_limit(stat.memsw_limit), host);
    take_lower(facts.swap.limit_bytes, swap_limit(own_limit_, own_memsw_limit_, host));
    facts.swap.used_bytes = stat.swap;
    facts.swap.swappiness_zero = swappiness_zero_;
    const auto headroom = levels_.read(buffer, facts, host);
    if (!headroom) return headroom.error();
    facts.headroom = headroom.value();
    if (stat.swap || !facts.usage_bytes) return facts;

    const auto memsw = memsw_usage_.read_figures(buffer, false);
    if (!memsw) return memsw.error();
    if (!memsw.value()) return facts;
    if (const auto both = parse_u64(*memsw.value())) {
      facts.swap.used_bytes = saturating_sub(*both, *facts.usage_bytes);
    }
    return facts;
  }

  std::optional<uint64_t> writes() const override {
    const auto swappiness = swappiness_.writes(), limits = limits_.writes();
    if (!swappiness || !limits) return std::nullopt;
    return *swappiness + *limits;
  }

 private:
  /// What the operator configured as swap: memory.memsw limits the sum of both. Where all that the
  /// host has fits into that, it is no limit, and memory is no more than the host has.
  static std::optional<uint64_t> swap_limit(const std::optional<uint64_t>& memory,
                                            const std::optional<uint64_t>& memsw,
                                            const HostMemorySize& host) {
    if (memsw && *memsw >= saturating_add(host.memory_bytes, host.swap_bytes)) return std::nullopt;
    if (!memsw || !memory) return memsw;
    return saturating_sub(*memsw, std::min(*memory, host.memory_bytes));
  }

  /// Of all the kernel's events v1 counts two as /proc/vmstat does; its pgpgin and pgpgout are
  /// pages charged and not pages read.
  static void add_events(std::string_view stat, MemoryFacts& facts) {
    constexpr std::string_view kTotal = "total_";
    for_each_line(stat, [&](std::string_view line) {
      const std::string_view key = take_word(line);
      if (key != "total_pgfault" && key != "total_pgmajfault") return;
      if (const auto count = parse_u64(line)) {
        facts.events.push_back({std::string(key.substr(kTotal.size())), *count});
      }
    });
  }

  std::optional<Error> read_limits(ReadBuffer& buffer) {
    if (!limits_.stale()) return std::nullopt;
    levels_.clear();
    return limits_.refresh(buffer, [this](const LimitChain::Texts& texts, size_t level) {
      const auto limit = [&](size_t at) {
        return texts[at] ? parse_limit(*texts[at]) : std::nullopt;
      };
      if (level == 0) {
        own_limit_ = limit(0);
        own_memsw_limit_ = limit(1);
      }
      levels_.add(level, {limit(0), std::nullopt, std::nullopt, limit(1)});
    });
  }

  std::optional<Error> read_swappiness(ReadBuffer& buffer) {
    if (!swappiness_.stale()) return std::nullopt;
    return swappiness_.refresh(buffer, [this](const LimitChain::Texts& texts, size_t) {
      swappiness_zero_ = texts[0] && parse_u64(*texts[0]) == uint64_t{0};
    });
  }

  OpenCgroupFile usage_, stat_, memsw_usage_, oom_control_;
  LimitChain swappiness_;
  /// memory.stat has the minimum of them.
  LimitChain limits_;
  MemoryLevels levels_;
  std::optional<uint64_t> own_limit_, own_memsw_limit_;
  bool swappiness_zero_ = false;
};

}  // namespace

std::unique_ptr<MemorySource> make_memory_v1(DirPtr dir, ChangeNotifier* notifier) {
  return std::make_unique<MemoryV1>(std::move(dir), notifier);
}

}  // namespace vprocfs
