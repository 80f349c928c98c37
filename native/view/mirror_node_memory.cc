#include <algorithm>
#include <iterator>

#include "base/affix.h"
#include "base/shares.h"
#include "base/wide.h"
#include "base/words.h"
#include "view/memory_lines.h"
#include "view/mirror.h"
#include "view/node_model.h"
#include "view/vm_figures.h"

namespace vprocfs {
namespace {

/// Lines that count huge pages of the default size.
constexpr std::string_view kHugePages = "HugePages_";
/// What of huge pages is in use.
constexpr std::string_view kHugetlbAmount = "nr_hugetlb";

/// The number after `name` in a text of the host's; 0 if it is not there.
uint64_t number_of(std::string_view text, std::string_view name) {
  const size_t at = text.find(name);
  if (at == std::string_view::npos) return 0;
  text.remove_prefix(at + name.size());
  uint64_t number = 0;
  for (const char c : take_word(text)) {
    if (!is_digit(c)) break;
    number = saturating_add(saturating_mul(number, 10), static_cast<uint64_t>(c - '0'));
  }
  return number;
}

/// The memory of one node of a container.
class NodeMemory {
 public:
  /// `host_files_kb`: what the host has of file pages on the node, without its swap cache.
  NodeMemory(const Facts& facts, uint32_t node, uint64_t host_files_kb = 0)
      : model_(memory_model(facts)),
        nodes_(facts, model_.total, model_.total - model_.free, model_.used),
        place_(nodes_.find(node)),
        pools_(facts.huge_pools),
        page_kb_(facts.host_meminfo->value("Hugepagesize").value_or(0)),
        has_limited_pages_(facts.memory.limit_of_pages(page_kb_) != nullptr),
        host_files_kb_(host_files_kb) {}

  /// Whether a line of meminfo is the host's, as it is in /proc/meminfo.
  bool is_hosts_line(std::string_view line) const {
    if (starts_with(line, kHugePages)) return !has_limited_pages_;
    if (line == "FilePages") return is_hosts_amount("nr_file_pages");
    return is_hosts(model_, MemoryLines().find(line));
  }
  /// Whether an amount of vmstat is the host's.
  bool is_hosts_amount(std::string_view name) const {
    if (name == kHugetlbAmount) return !model_.hugetlb_limited;
    const VmAmount* amount = find_vm_amount(name);
    if (amount == nullptr) return false;
    return std::all_of(std::begin(amount->labels), std::end(amount->labels), [this](auto label) {
      return label.empty() || is_hosts(model_, MemoryLines().find(label));
    });
  }
  /// A node that is shown for its CPUs has no memory, and so has one that is no longer shown: a
  /// program may stand in its directory.
  bool has_memory() const {
    return place_ < nodes_.nodes().size() && nodes_.nodes()[place_].has_memory;
  }

  /// kB of a line of meminfo, pages where the line counts them; 0 for what no cgroup tells.
  uint64_t line(std::string_view name) const {
    const NodeShare& node = nodes_.nodes()[place_];
    if (name == "MemTotal") return node.total;
    if (name == "MemFree") return node.total - node.used;
    if (name == "MemUsed") return node.used;
    if (name == "Active") return line("Active(anon)") + line("Active(file)");
    if (name == "Inactive") return line("Inactive(anon)") + line("Inactive(file)");
    if (name == "Slab") return line("SReclaimable") + line("SUnreclaim");
    if (name == "FilePages") return file_pages();
    if (name == "HugePages_Total") return huge_pages().pages;
    if (name == "HugePages_Free") return huge_pages().free;
    return part(figure_of(model_, name));
  }

  /// An amount of vmstat, in the kernel's unit.
  uint64_t amount(std::string_view name, const Facts& facts) const {
    if (name == kHugetlbAmount) {
      const HugePool pool = huge_pages();
      return (pool.pages - pool.free) * page_kb_ / facts.page_kb;
    }
    if (name == "nr_file_pages") return file_pages() / facts.page_kb;
    const VmAmount* amount = find_vm_amount(name);
    return amount == nullptr ? 0 : amount->of(facts, [this](auto label) { return line(label); });
  }

  /// The node's part of huge pages: unused ones as the host's are on its nodes, and those in use
  /// likewise. None has more of either than it has on the host: a limit may be for more than there
  /// are on the nodes that are allowed.
  HugePool huge_pages(const HugePool& pool, uint64_t page_kb) const {
    const HostHugePool* host = on_host(page_kb);
    if (host == nullptr) {
      const uint64_t unused = nodes_.part_by_size(pool.free, place_);
      return {unused + nodes_.part_by_size(pool.pages - pool.free, place_), unused};
    }
    std::vector<uint64_t> free(nodes_.nodes().size()), used(free.size());
    for (const HostHugePool::Node& node : host->nodes) {
      const size_t at = nodes_.find(node.id);
      // One that is shown for its CPUs only has none.
      if (at == free.size() || !nodes_.nodes()[at].has_memory) continue;
      free[at] = node.free;
      used[at] = saturating_sub(node.pages, node.free);
    }
    const auto own = [this](uint64_t pages, const std::vector<uint64_t>& on_nodes) {
      return std::min(split(pages, on_nodes)[place_], on_nodes[place_]);
    };
    const uint64_t unused = own(pool.free, free);
    return {unused + own(pool.pages - pool.free, used), unused};
  }

 private:
  uint64_t part(uint64_t amount) const { return nodes_.part(amount, place_); }
  uint64_t file_pages() const {
    // Only the swap cache is not the host's: there is none.
    if (!model_.accounted) return host_files_kb_;
    return part(model_.file_pages - model_.buffers) + nodes_.part_of_others(model_.buffers, place_);
  }

  /// Those of the default size.
  HugePool huge_pages() const {
    return huge_pages({model_.huge_pages, model_.huge_pages_free}, page_kb_);
  }

  /// What the host has of huge pages on its nodes; nullptr where that is not known.
  const HostHugePool* on_host(uint64_t page_kb) const {
    if (!pools_) return nullptr;
    for (const HostHugePool& pool : *pools_) {
      if (pool.page_kb == page_kb && !pool.nodes.empty()) return &pool;
    }
    return nullptr;
  }

  MemoryModel model_;
  NodeModel nodes_;
  size_t place_;
  std::shared_ptr<const std::vector<HostHugePool>> pools_;
  uint64_t page_kb_;
  bool has_limited_pages_;
  uint64_t host_files_kb_;
};

}  // namespace

/// nodeN/meminfo (drivers/base/node.c): the host's lines with the node's part of the container's.
/// MemTotal, MemFree and what is in use sum over the nodes to /proc/meminfo's.
void mirror_node_meminfo(const Facts& facts, const HostText& host, Writer& writer) {
  const uint64_t host_files_kb =
      saturating_sub(number_of(host.text, " FilePages:"), number_of(host.text, " SwapCached:"));
  const NodeMemory memory(facts, host.node, host_files_kb);
  for_each_line(host.text, [&](std::string_view text) {
    // "Node 0 Active(anon):    12345 kB"
    const size_t colon = text.find(':');
    const size_t digits = text.find_first_of("0123456789", std::min(colon, text.size()));
    if (digits == std::string_view::npos) {
      writer.text(text).ch('\n');
      return;
    }
    const size_t end = std::min(text.find_first_not_of("0123456789", digits), text.size());
    const size_t at = text.rfind(' ', colon) + 1;
    const std::string_view name = text.substr(at, colon - at);
    if (memory.has_memory() && memory.is_hosts_line(name)) {
      writer.text(text).ch('\n');
      return;
    }
    // The host's number may be wider than its column.
    const size_t column = starts_with(name, kHugePages) ? 5 : 8;
    const size_t width = digits - colon - 1 + std::min(end - digits, column);
    writer.text(text.substr(0, colon + 1));
    writer.right(memory.has_memory() ? memory.line(name) : 0, width);
    writer.text(text.substr(end)).ch('\n');
  });
}

/// nodeN/vmstat: the node's part of what /proc/vmstat says of memory, the host's where no cgroup
/// accounts for it; the rest is not known.
void mirror_node_vmstat(const Facts& facts, const HostText& host, Writer& writer) {
  const uint64_t host_files = saturating_sub(number_of(host.text, "nr_file_pages "),
                                             number_of(host.text, "nr_swapcached "));
  const NodeMemory memory(facts, host.node, saturating_mul(host_files, facts.page_kb));
  for_each_line(host.text, [&](std::string_view text) {
    const std::string_view name = text.substr(0, text.find(' '));
    if (memory.has_memory() && memory.is_hosts_amount(name)) {
      writer.text(text).ch('\n');
      return;
    }
    writer.text(name).ch(' ');
    writer.number(memory.has_memory() ? memory.amount(name, facts) : 0).ch('\n');
  });
}

/// nodeN/hugepages/hugepages-SIZEkB/{nr,free,surplus}_hugepages (mm/hugetlb_sysfs.c): the host's,
/// or of a size that is limited the node's part of what the container may have.
void mirror_node_hugepages(const Facts& facts, const HostText& host, Writer& writer) {
  const HugetlbFacts* limit = facts.memory.limit_of_pages(host.page_kb);
  const NodeMemory memory(facts, host.node);
  if (!memory.has_memory()) {
    writer.text("0\n");
    return;
  }
  if (limit == nullptr || !facts.huge_pools) {
    writer.text(host.text);
    return;
  }
  uint64_t pages = 0;
  for (const HostHugePool& of_host : *facts.huge_pools) {
    if (of_host.page_kb != host.page_kb) continue;
    const HugePool pool =
        memory.huge_pages(limited_pool(*limit, of_host.pages, of_host.free), host.page_kb);
    if (host.name == "nr_hugepages") pages = pool.pages;
    if (host.name == "free_hugepages") pages = pool.free;
  }
  writer.number(pages).ch('\n');
}

}  // namespace vprocfs
