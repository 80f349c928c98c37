#include "source/host_nodes.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/affix.h"
#include "source/absent.h"
#include "source/node_meminfo.h"
#include "source/parse.h"
#include "source/read_file.h"
#include "source/sysfs_tree.h"

namespace vprocfs {
namespace {

std::string node_directory(uint32_t id) {
  return std::string(SysfsTree::kNodeRoot) + "/node" + std::to_string(id) + "/";
}

/// Of a node that goes while it is read.
bool is_gone(const Error& error) { return error.code == ENOENT || error.code == ENODEV; }

}  // namespace

Result<std::vector<HostNode>> read_nodes(int sysfs_fd) {
  const std::string root = std::string(SysfsTree::kNodeRoot) + "/";
  std::vector<HostNode> nodes;
  const auto online = read_file(sysfs_fd, root + "online");
  if (!online) {
    if (online.error().code == ENOENT) return nodes;
    return online.error();
  }
  const auto ids = parse_cpu_list(online.value());
  if (!ids) return nodes;
  for (const uint32_t id : ids->ids()) {
    const std::string directory = node_directory(id);
    const auto cpus = read_file(sysfs_fd, directory + "cpulist");
    const auto meminfo = read_file(sysfs_fd, directory + "meminfo");
    if (!cpus || !meminfo) {
      const Error& error = cpus ? meminfo.error() : cpus.error();
      if (is_gone(error)) continue;
      return error;
    }
    HostNode node;
    node.id = id;
    node.cpus = parse_cpu_list(cpus.value()).value_or(CpuSet());
    node.total_kb = parse_node_meminfo(meminfo.value()).value("MemTotal").value_or(0);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

Result<std::vector<NodeMeminfo>> read_node_meminfos(int sysfs_fd,
                                                    const std::vector<HostNode>& nodes) {
  std::vector<NodeMeminfo> meminfos;
  for (const HostNode& node : nodes) {
    if (node.total_kb == 0) continue;
    const auto text = read_file(sysfs_fd, node_directory(node.id) + "meminfo");
    if (text) {
      meminfos.push_back({node.id, parse_node_meminfo(text.value())});
    } else if (!is_gone(text.error())) {
      return text.error();
    }
  }
  return meminfos;
}

Result<uint64_t> read_number(int sysfs_fd, const std::string& path) {
  const auto text = read_file(sysfs_fd, path);
  if (text) return parse_u64(text.value()).value_or(0);
  if (!is_absent(text.error().code)) return text.error();
  return uint64_t{0};
}

namespace {

/// Adds the sizes of which a directory has a "hugepages-<size>kB", kB.
Result<bool> add_sizes_in(int sysfs_fd, const std::string& path, std::vector<uint64_t>& sizes) {
  constexpr std::string_view kPrefix = "hugepages-", kUnit = "kB";
  const auto names = list_names(sysfs_fd, path);
  if (!names) {
    if (!is_absent(names.error().code)) return names.error();
    return false;
  }
  for (const std::string& name : names.value()) {
    std::string_view size = name;
    if (!starts_with(size, kPrefix)) continue;
    size.remove_prefix(kPrefix.size());
    if (size.size() <= kUnit.size() || !ends_with(size, kUnit)) continue;
    size.remove_suffix(kUnit.size());
    if (const auto kb = parse_u64(size)) sizes.push_back(*kb);
  }
  return true;
}

/// Adds the pages of a pool in `directory` to `pages` and `free`.
Result<bool> add_pages_in(int sysfs_fd, const std::string& directory, uint64_t& pages,
                          uint64_t& free) {
  const auto all = read_number(sysfs_fd, directory + "nr_hugepages");
  if (!all) return all.error();
  const auto unused = read_number(sysfs_fd, directory + "free_hugepages");
  if (!unused) return unused.error();
  pages += all.value();
  free += unused.value();
  return true;
}

constexpr const char* kHugePages = "kernel/mm/hugepages";

}  // namespace

Result<std::vector<HostHugePool>> read_huge_pools(int sysfs_fd,
                                                  const std::vector<HostNode>& nodes) {
  const auto of_node = [](uint32_t id) { return node_directory(id) + "hugepages"; };
  std::vector<uint64_t> sizes;
  if (const auto any = add_sizes_in(sysfs_fd, kHugePages, sizes); !any) return any.error();
  for (const HostNode& node : nodes) {
    if (const auto any = add_sizes_in(sysfs_fd, of_node(node.id), sizes); !any) return any.error();
  }
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  std::vector<HostHugePool> pools;
  for (const uint64_t kb : sizes) {
    const std::string size = "/hugepages-" + std::to_string(kb) + "kB/";
    HostHugePool pool;
    pool.page_kb = kb;
    for (const HostNode& node : nodes) {
      HostHugePool::Node part{node.id, 0, 0};
      const auto read = add_pages_in(sysfs_fd, of_node(node.id) + size, part.pages, part.free);
      if (!read) return read.error();
      pool.nodes.push_back(part);
      pool.pages += part.pages;
      pool.free += part.free;
    }
    if (nodes.empty()) {
      const auto read = add_pages_in(sysfs_fd, kHugePages + size, pool.pages, pool.free);
      if (!read) return read.error();
    }
    pools.push_back(std::move(pool));
  }
  return pools;
}

}  // namespace vprocfs
