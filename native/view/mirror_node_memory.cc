#include <algorithm>
#include <iterator>

#include "view/memory_model.h"
#include "view/mirror.h"
#include "view/node_model.h"

namespace vprocfs {
namespace {

/// A line of a node's meminfo and the figure of which the node has a part.
struct Label {
  std::string_view name;
  uint64_t MemoryModel::*figure;
};

constexpr Label kLabels[] = {
    {"SwapCached", &MemoryModel::swap_cached},
    {"Active(anon)", &MemoryModel::active_anon},
    {"Inactive(anon)", &MemoryModel::inactive_anon},
    {"Active(file)", &MemoryModel::active_file},
    {"Inactive(file)", &MemoryModel::inactive_file},
    {"Unevictable", &MemoryModel::unevictable},
    {"Dirty", &MemoryModel::dirty},
    {"Writeback", &MemoryModel::writeback},
    {"Mapped", &MemoryModel::mapped},
    {"AnonPages", &MemoryModel::anon},
    {"Shmem", &MemoryModel::shmem},
    {"KernelStack", &MemoryModel::kernel_stack},
    {"PageTables", &MemoryModel::page_tables},
    {"SecPageTables", &MemoryModel::sec_page_tables},
    {"KReclaimable", &MemoryModel::slab_reclaimable},
    {"SReclaimable", &MemoryModel::slab_reclaimable},
    {"SUnreclaim", &MemoryModel::slab_unreclaimable},
    {"AnonHugePages", &MemoryModel::anon_huge},
    {"ShmemHugePages", &MemoryModel::shmem_huge},
    {"FileHugePages", &MemoryModel::file_huge},
};

/// Counters of a node's vmstat, in pages; nr_kernel_stack is in kB (mm/vmstat.c).
constexpr Label kCounters[] = {
    {"nr_inactive_anon", &MemoryModel::inactive_anon},
    {"nr_zone_inactive_anon", &MemoryModel::inactive_anon},
    {"nr_active_anon", &MemoryModel::active_anon},
    {"nr_zone_active_anon", &MemoryModel::active_anon},
    {"nr_inactive_file", &MemoryModel::inactive_file},
    {"nr_zone_inactive_file", &MemoryModel::inactive_file},
    {"nr_active_file", &MemoryModel::active_file},
    {"nr_zone_active_file", &MemoryModel::active_file},
    {"nr_unevictable", &MemoryModel::unevictable},
    {"nr_zone_unevictable", &MemoryModel::unevictable},
    {"nr_slab_reclaimable", &MemoryModel::slab_reclaimable},
    {"nr_slab_unreclaimable", &MemoryModel::slab_unreclaimable},
    {"nr_anon_pages", &MemoryModel::anon},
    {"nr_mapped", &MemoryModel::mapped},
    {"nr_dirty", &MemoryModel::dirty},
    {"nr_writeback", &MemoryModel::writeback},
    {"nr_shmem", &MemoryModel::shmem},
    {"nr_page_table_pages", &MemoryModel::page_tables},
    {"nr_sec_page_table_pages", &MemoryModel::sec_page_tables},
    {"nr_swapcached", &MemoryModel::swap_cached},
};

/// The memory of one node of a container.
class NodeMemory {
 public:
  NodeMemory(const Facts& facts, uint32_t node)
      : model_(memory_model(facts)),
        nodes_(facts, model_.total, model_.total - model_.free),
        place_(nodes_.find(node)) {}

  bool accounted() const { return model_.accounted; }
  bool shown() const { return place_ < nodes_.nodes().size(); }

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
    if (name == "HugePages_Total") return huge_pages(model_.huge_pages);
    if (name == "HugePages_Free") return huge_pages(model_.huge_pages_free);
    return labelled(kLabels, name);
  }

  /// kB of a counter of vmstat.
  uint64_t counter(std::string_view name) const {
    if (name == "nr_free_pages") return line("MemFree");
    if (name == "nr_file_pages") return file_pages();
    return labelled(kCounters, name);
  }

  uint64_t kernel_stack() const { return part(model_.kernel_stack); }
  uint64_t huge_pages(uint64_t pages) const { return nodes_.part_by_size(pages, place_); }
  const MemoryModel& model() const { return model_; }

 private:
  uint64_t part(uint64_t amount) const { return nodes_.part(amount, place_); }
  uint64_t file_pages() const { return part(saturating_add(model_.cached, model_.swap_cached)); }

  template <size_t N>
  uint64_t labelled(const Label (&labels)[N], std::string_view name) const {
    const Label* label = std::find_if(std::begin(labels), std::end(labels),
                                      [&](const Label& l) { return l.name == name; });
    return label == std::end(labels) ? 0 : part(model_.*label->figure);
  }

  MemoryModel model_;
  NodeModel nodes_;
  size_t place_;
};

/// Calls `line` with every line of `text`, newline excluded.
template <typename F>
void each_line(std::string_view text, F line) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    line(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

}  // namespace

/// nodeN/meminfo (drivers/base/node.c): the host's lines with the node's part of the container's.
/// MemTotal, MemFree and what is in use sum over the nodes to /proc/meminfo's.
void mirror_node_meminfo(const Facts& facts, const HostText& host, Writer& writer) {
  const NodeMemory memory(facts, host.node);
  each_line(host.text, [&](std::string_view text) {
    // "Node 0 Active(anon):    12345 kB"
    const size_t colon = text.find(':');
    const size_t digits = text.find_first_of("0123456789", std::min(colon, text.size()));
    if (!memory.accounted() || !memory.shown() || digits == std::string_view::npos) {
      writer.text(text).ch('\n');
      return;
    }
    const size_t end = std::min(text.find_first_not_of("0123456789", digits), text.size());
    const size_t name = text.rfind(' ', colon) + 1;
    writer.text(text.substr(0, colon + 1));
    writer.right(memory.line(text.substr(name, colon - name)), end - colon - 1);
    writer.text(text.substr(end)).ch('\n');
  });
}

/// nodeN/vmstat: the node's part of what /proc/vmstat says of memory; the rest is not known.
void mirror_node_vmstat(const Facts& facts, const HostText& host, Writer& writer) {
  const NodeMemory memory(facts, host.node);
  each_line(host.text, [&](std::string_view text) {
    const std::string_view name = text.substr(0, text.find(' '));
    uint64_t value = 0;
    if (memory.accounted() && memory.shown()) {
      value =
          name == "nr_kernel_stack" ? memory.kernel_stack() : memory.counter(name) / facts.page_kb;
    }
    writer.text(name).ch(' ').number(value).ch('\n');
  });
}

/// nodeN/hugepages/hugepages-SIZEkB/{nr,free,surplus}_hugepages: the node's part of the pool that
/// /proc/meminfo tells of, for the default size; no pool of the others (mm/hugetlb_sysfs.c).
void mirror_node_hugepages(const Facts& facts, const HostText& host, Writer& writer) {
  const NodeMemory memory(facts, host.node);
  const bool is_default = host.page_kb == facts.host_meminfo->value("Hugepagesize").value_or(0);
  uint64_t pages = 0;
  if (is_default && memory.shown() && memory.model().hugetlb_limited) {
    if (host.name == "nr_hugepages") pages = memory.line("HugePages_Total");
    if (host.name == "free_hugepages") pages = memory.line("HugePages_Free");
  }
  writer.number(pages).ch('\n');
}

}  // namespace vprocfs
