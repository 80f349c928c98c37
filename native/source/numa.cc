#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "source/controllers.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// Lines of v2 that together are all that a container has of a node, in bytes. What is not listed
/// is part of one of these (shmem of file, ...), or moves nothing (workingset_...).
constexpr std::array<std::string_view, 7> kWholesV2 = {"anon",
                                                       "file",
                                                       "kernel_stack",
                                                       "pagetables",
                                                       "sec_pagetables",
                                                       "slab_reclaimable",
                                                       "slab_unreclaimable"};

/// Adds the "N<id>=<amount>" words of a line.
void add_nodes(std::string_view line, uint64_t unit, std::vector<NodeUse>& used) {
  for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
    const size_t equals = word.find('=');
    if (word.front() != 'N' || equals == std::string_view::npos) continue;
    const auto id = parse_u64(word.substr(1, equals - 1));
    const auto amount = parse_u64(word.substr(equals + 1));
    if (!id || *id > kMaxCpuId || !amount || *amount > kNoLimitBytes / unit) continue;
    const auto same = [&](const NodeUse& use) { return use.id == *id; };
    auto it = std::find_if(used.begin(), used.end(), same);
    if (it == used.end()) it = used.insert(it, NodeUse{static_cast<uint32_t>(*id), 0});
    it->bytes += *amount * unit;
  }
}

/// memory.numa_stat: on v2 "anon N0=<bytes> N1=<bytes>", on v1 "hierarchical_total=<pages>
/// N0=<pages> N1=<pages>" (mm/memcontrol.c, mm/memcontrol-v1.c).
class Numa : public FactsSource<std::vector<NodeUse>> {
 public:
  Numa(DirPtr dir, bool v2) : file_(std::move(dir), "memory.numa_stat"), v2_(v2) {}

  Result<std::vector<NodeUse>> read(ReadBuffer& buffer) override {
    std::vector<NodeUse> used;
    const auto text = file_.read(buffer, true);
    if (!text) return text.error();
    if (!text.value()) return used;
    for_each_line(*text.value(), [&](std::string_view line) {
      const std::string_view key = take_word(line);
      if (v2_ ? std::find(kWholesV2.begin(), kWholesV2.end(), key) != kWholesV2.end()
              : key.substr(0, key.find('=')) == "hierarchical_total") {
        add_nodes(line, v2_ ? 1 : page_bytes_, used);
      }
    });
    return used;
  }

 private:
  OpenCgroupFile file_;
  const bool v2_;
  const uint64_t page_bytes_ = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
};

}  // namespace

std::unique_ptr<FactsSource<std::vector<NodeUse>>> make_node_use(const CgroupPlace& place) {
  return std::make_unique<Numa>(place.dir, place.v2);
}

}  // namespace vprocfs
