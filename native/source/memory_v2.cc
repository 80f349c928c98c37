#include "source/controllers.h"
#include "source/limit_chain.h"
#include "source/memory_levels.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// memory.stat of v2 (mm/memcontrol.c memory_stats).
constexpr Key<MemoryStat> kStatKeys[] = {
#define VPROCFS_MEMORY_KEY(key) {#key, &MemoryStat::key},
#include "facts/memory_keys.def"
};

MemoryStat parse_stat(std::string_view text) {
  MemoryStat stat;
  parse_table(text, kStatKeys, stat);
  return stat;
}

constexpr MemoryLevels::Files kFiles = {"memory.current", "memory.stat", "memory.swap.current",
                                        parse_stat};

class MemoryV2 : public MemorySource {
 public:
  MemoryV2(DirPtr dir, ChangeNotifier* notifier)
      : dir_(dir),
        limits_(dir, notifier, {"memory.max", "memory.swap.max", "memory.high", "memory.swap.high"},
                LimitChain::Reach::kAncestorsV2),
        levels_(dir, kFiles),
        current_(dir, "memory.current"),
        stat_(dir, "memory.stat"),
        events_(dir, "memory.events"),
        swap_current_(dir, "memory.swap.current") {}

  Result<MemoryFacts> read(ReadBuffer& buffer, MemoryEvents events,
                           const HostMemorySize& host) override {
    const bool probe = limits_.stale();
    if (probe) {
      if (auto error = refresh(buffer)) return *error;
    }
    MemoryFacts facts;
    facts.limit_bytes = limit_;
    facts.swap.limit_bytes = swap_limit_;

    const auto current = current_.read_figures(buffer, probe);
    if (!current) return current.error();
    if (current.value()) facts.usage_bytes = parse_u64(*current.value());

    const auto stat = stat_.read_figures(buffer, probe);
    if (!stat) return stat.error();
    if (stat.value()) facts.stat = parse_stat(*stat.value());
    if (events != MemoryEvents::kNone && stat.value()) add_events(*stat.value(), facts);
    if (events == MemoryEvents::kAll) {
      if (auto error = add_oom_kills(events_, probe, buffer, facts)) return *error;
    }
    // Without the controller no file has told whether the cgroup is still there.
    if (!current.value() && !stat.value() && !dir_->alive()) return dir_->gone();

    if (auto error = read_swap(buffer, probe, host, facts)) return *error;

    const auto headroom = levels_.read(buffer, facts, host);
    if (!headroom) return headroom.error();
    facts.headroom = headroom.value();
    return facts;
  }

  std::optional<uint64_t> writes() const override { return limits_.writes(); }

 private:
  static void add_events(std::string_view stat, MemoryFacts& facts) {
    for_each_line(stat, [&](std::string_view line) {
      const std::string_view key = take_word(line);
      if (const auto count = parse_u64(line)) facts.events.push_back({std::string(key), *count});
    });
  }

  /// Nothing is swapped out on a host without swap. Whether swap is accounted at all, only the file
  /// tells, which is why it is read with the limits then.
  std::optional<Error> read_swap(ReadBuffer& buffer, bool probe, const HostMemorySize& host,
                                 MemoryFacts& facts) {
    if (host.swap_bytes == 0 && has_swap_current_ && facts.usage_bytes && !probe) {
      facts.swap.used_bytes = 0;
      return std::nullopt;
    }
    const auto swap = swap_current_.read_figures(buffer, probe);
    if (!swap) return swap.error();
    if (swap.value()) facts.swap.used_bytes = parse_u64(*swap.value());
    has_swap_current_ = facts.swap.used_bytes.has_value();
    return std::nullopt;
  }

  std::optional<Error> refresh(ReadBuffer& buffer) {
    limit_.reset();
    swap_limit_.reset();
    levels_.clear();
    return limits_.refresh(buffer, [this](const LimitChain::Texts& texts, size_t level) {
      const auto limit = [&](size_t at) {
        return texts[at] ? parse_limit(*texts[at]) : std::nullopt;
      };
      MemoryLevels::Limits limits{limit(0), limit(2), limit(1)};
      take_lower(limit_, limits.memory_bytes);
      take_lower(swap_limit_, limits.swap_bytes);
      // Beyond it allocations stand still, as beyond memory.high: it is no size either.
      take_lower(limits.swap_bytes, limit(3));
      levels_.add(level, limits);
    });
  }

  DirPtr dir_;
  LimitChain limits_;
  MemoryLevels levels_;
  OpenCgroupFile current_, stat_, events_, swap_current_;
  bool has_swap_current_ = false;  ///< as of the last reading of it
  std::optional<uint64_t> limit_, swap_limit_;
};

}  // namespace

std::unique_ptr<MemorySource> make_memory_v2(DirPtr dir, ChangeNotifier* notifier) {
  return std::make_unique<MemoryV2>(std::move(dir), notifier);
}

}  // namespace vprocfs
