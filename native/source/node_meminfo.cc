#include "source/node_meminfo.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/wide.h"
#include "source/host_parse.h"

namespace vprocfs {
namespace {

/// What some nodes have of a host.
class Nodes {
 public:
  Nodes(const HostMeminfo& host, const std::vector<const HostMeminfo*>& nodes,
        std::optional<uint64_t> hugetlb_kb)
      : host_(host),
        sums_(sums_of(nodes)),
        total_kb_(sum("MemTotal").value_or(0)),
        hugetlb_kb_(hugetlb_kb) {}

  uint64_t total_kb() const { return total_kb_; }

  /// Nothing: nodes have no such line.
  std::optional<uint64_t> sum(std::string_view label) const { return sums_.value(label); }

  uint64_t by_size(uint64_t amount) const {
    const uint64_t all = std::max(of_host("MemTotal"), total_kb_);
    return all == 0 ? amount : mul_div(amount, total_kb_, all);
  }

  uint64_t line(const HostMeminfoLine& line) const {
    const std::string_view label = line.label;
    if (label == "MemAvailable") return available();
    if (label == "Cached") return cached();
    if (label == "HugePages_Rsvd") return std::min(line.value, sum("HugePages_Free").value_or(0));
    if (label == "Hugetlb") return hugetlb(line.value);
    if (label == "CommitLimit") {
      const uint64_t swap = of_host("SwapTotal");
      return saturating_add(by_size(saturating_sub(line.value, swap)), std::min(swap, line.value));
    }
    if (label == "Buffers" || label == "Percpu" || label == "VmallocUsed") {
      return by_size(line.value);
    }
    return sum(label).value_or(line.value);
  }

 private:
  /// All nodes have the same lines.
  static HostMeminfo sums_of(const std::vector<const HostMeminfo*>& nodes) {
    HostMeminfo sums;
    for (const HostMeminfo* node : nodes) {
      if (sums.lines.empty()) {
        sums = *node;
        continue;
      }
      for (HostMeminfoLine& line : sums.lines) {
        line.value = saturating_add(line.value, node->value(line.label).value_or(0));
      }
    }
    return sums;
  }

  uint64_t of_host(std::string_view label) const { return host_.value(label).value_or(0); }

  /// fs/proc/meminfo.c takes buffers and the swap cache off all file pages.
  uint64_t cached() const {
    const uint64_t others =
        saturating_add(by_size(of_host("Buffers")), sum("SwapCached").value_or(0));
    return saturating_sub(sum("FilePages").value_or(by_size(of_host("Cached"))), others);
  }

  /// What the kernel keeps of free and reclaimable memory (mm/show_mem.c, si_mem_available) follows
  /// the sizes of the zones.
  uint64_t available() const {
    uint64_t host = 0, own = 0;
    for (const std::string_view label :
         {"MemFree", "Active(file)", "Inactive(file)", "KReclaimable"}) {
      host = saturating_add(host, of_host(label));
      own = saturating_add(own, sum(label).value_or(by_size(of_host(label))));
    }
    return saturating_sub(own, by_size(saturating_sub(host, of_host("MemAvailable"))));
  }

  uint64_t hugetlb(uint64_t all) const {
    if (hugetlb_kb_) return std::min(all, *hugetlb_kb_);
    const uint64_t elsewhere =
        saturating_sub(of_host("HugePages_Total"), sum("HugePages_Total").value_or(UINT64_MAX));
    return saturating_sub(all, elsewhere * of_host("Hugepagesize"));
  }

  const HostMeminfo& host_;
  const HostMeminfo sums_;
  const uint64_t total_kb_;
  const std::optional<uint64_t> hugetlb_kb_;
};

}  // namespace

HostMeminfo parse_node_meminfo(std::string_view text) {
  HostMeminfo info = parse_meminfo(text);
  for (HostMeminfoLine& line : info.lines) {
    line.label.erase(0, line.label.rfind(' ') + 1);  // "Node 0 MemTotal"
  }
  return info;
}

HostMeminfo meminfo_of_nodes(const HostMeminfo& host, const std::vector<const HostMeminfo*>& nodes,
                             std::optional<uint64_t> hugetlb_kb) {
  const Nodes own(host, nodes, hugetlb_kb);
  HostMeminfo info = host;
  if (own.total_kb() == 0) return info;
  for (HostMeminfoLine& line : info.lines) line.value = own.line(line);
  info.arc_kb = own.by_size(host.arc_kb);
  info.is_part = true;
  return info;
}

}  // namespace vprocfs
