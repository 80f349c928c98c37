#include "source/host_source.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/wide.h"
#include "source/absent.h"
#include "source/host_file.h"
#include "source/host_nodes.h"
#include "source/host_parse.h"
#include "source/node_meminfo.h"
#include "source/parse.h"
#include "source/read_file.h"
#include "source/shape_parse.h"
#include "source/sysfs_tree.h"

namespace vprocfs {
namespace {

/// Whether there is a block for each of the CPUs.
bool describes(const HostCpuinfo& info, const CpuSet& cpus) {
  std::vector<uint32_t> ids;
  for (const HostCpuinfo::Block& block : info.blocks) ids.push_back(block.cpu);
  return cpus.without(CpuSet(std::move(ids))).empty();
}

/// The CPUs online for which cpuinfo was last found to have a block each, or was read anew: a
/// kernel that has no blocks for some is not asked again and again.
class DescribedCpus {
 public:
  bool is(const CpuSet& cpus) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return cpus_ == cpus;
  }
  void set(const CpuSet& cpus) {
    const std::lock_guard<std::mutex> lock(mutex_);
    cpus_ = cpus;
  }

 private:
  mutable std::mutex mutex_;
  CpuSet cpus_;
};

/// Huge pages of every size, kB.
uint64_t hugetlb_on(const CpuSet& nodes, const std::vector<HostHugePool>& pools) {
  uint64_t kb = 0;
  for (const HostHugePool& pool : pools) {
    for (const HostHugePool::Node& node : pool.nodes) {
      if (nodes.contains(node.id)) kb = saturating_add(kb, node.pages * pool.page_kb);
    }
  }
  return kb;
}

}  // namespace

struct HostSource::Impl {
  Impl(int procfs, int sysfs, uint64_t tick, Machine its_machine)
      : procfs_fd(procfs),
        sysfs_fd(sysfs),
        machine(its_machine),
        tick_us(tick),
        slow_tick_us(tick == 0 ? 0 : std::max(tick, kSlowTickUs)) {}

  /// ZFS sums up its counters of all CPUs for it: read once a second, however short the tick.
  uint64_t arc_kb(uint64_t now_us) {
    const auto read = [this]() -> Result<uint64_t> {
      const auto text = read_file(procfs_fd, "spl/kstat/zfs/arcstats");
      if (text) return parse_arc_kb(text.value());
      if (!is_absent(text.error().code)) return text.error();
      return uint64_t{0};
    };
    const auto now = arc.get(now_us, kSlowTickUs, read);
    const auto known = now ? now.value() : arc.last();
    return known ? *known : 0;
  }

  /// What is online each time; what is possible, which only physical hotplug changes, once a
  /// second. One caller at a time.
  Result<HostCpus> read_cpus(uint64_t now_us) {
    const auto now_online = online.get(now_us, 0, parse_cpu_list);
    if (!now_online) return now_online.error();
    const bool is_same = tick_us > 0 && *now_online.value() == last_online;
    const auto all = possible.get(now_us, is_same ? kSlowTickUs : 0, parse_cpu_list);
    if (!all) return all.error();
    last_online = *now_online.value();
    return HostCpus{last_online, *all.value()};
  }

  const int procfs_fd, sysfs_fd;
  const Machine machine;
  const uint64_t tick_us, slow_tick_us;
  ParsedFile<HostMeminfo> meminfo{procfs_fd, "meminfo", false};
  ParsedFile<HostStat> stat{procfs_fd, "stat", false};
  ParsedFile<HostCpuinfo> cpuinfo{procfs_fd, "cpuinfo"};
  DescribedCpus described;
#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes) \
  ParsedFile<type> name{procfs_fd, path};
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE
  DiskLayers disk_layers{sysfs_fd};
  std::atomic<uint64_t> thp_kb{0};
  /// How far CLOCK_REALTIME was ahead of CLOCK_BOOTTIME when `stat` was read.
  std::atomic<int64_t> realtime_ahead_us{0};
  ParsedFile<CpuSet> online{sysfs_fd, "devices/system/cpu/online", false};
  ParsedFile<CpuSet> possible{sysfs_fd, "devices/system/cpu/possible", false};
  CpuSet last_online;
  Cached<HostCpus> cpus;
  Cached<uint64_t> arc;
  Cached<std::vector<HostNode>> nodes;
  Cached<std::vector<NodeMeminfo>> node_meminfos;
  Cached<std::vector<HostHugePool>> huge_pools;
  std::mutex hugepage_mutex;
  std::vector<uint64_t> hugepage_kb;  ///< empty: not known yet
};

HostSource::Machine HostSource::own_machine() {
  return {static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024,
          [] { return boottime_ahead().least_us; }};
}

HostSource::HostSource(int procfs_fd, int sysfs_fd, uint64_t tick_us, Machine machine)
    : impl_(std::make_unique<Impl>(procfs_fd, sysfs_fd, tick_us, machine)) {}

HostSource::~HostSource() = default;

Result<std::shared_ptr<const HostMeminfo>> HostSource::meminfo(uint64_t now_us) {
  return impl_->meminfo.get(now_us, impl_->tick_us,
                            [&](std::string_view text) -> std::optional<HostMeminfo> {
                              auto info = parse_meminfo(text);
                              if (info.lines.empty()) return std::nullopt;
                              info.arc_kb = impl_->arc_kb(now_us);
                              return info;
                            });
}

Result<std::shared_ptr<const HostMeminfo>> HostSource::meminfo_of(const CpuSet& allowed_nodes,
                                                                  uint64_t now_us) {
  auto all = meminfo(now_us);
  if (!all) return all;
  const auto found = nodes(now_us);
  if (!found) return found.error();
  const auto excluded = [&](const HostNode& node) {
    return node.total_kb > 0 && !allowed_nodes.contains(node.id);
  };
  if (std::none_of(found.value()->begin(), found.value()->end(), excluded)) return all;
  const auto meminfos = impl_->node_meminfos.get(
      now_us, impl_->tick_us, [&] { return read_node_meminfos(impl_->sysfs_fd, *found.value()); });
  if (!meminfos) return meminfos.error();
  std::vector<const HostMeminfo*> allowed;
  for (const NodeMeminfo& node : *meminfos.value()) {
    if (allowed_nodes.contains(node.id)) allowed.push_back(&node.meminfo);
  }
  // Nodes' meminfo has those of the usual size only.
  const auto of_host = [&](const char* label) { return all.value()->value(label).value_or(0); };
  std::optional<uint64_t> hugetlb_kb;
  if (of_host("Hugetlb") > of_host("HugePages_Total") * of_host("Hugepagesize")) {
    const auto pools = huge_pools(now_us);
    if (!pools) return pools.error();
    hugetlb_kb = hugetlb_on(allowed_nodes, *pools.value());
  }
  return std::make_shared<const HostMeminfo>(meminfo_of_nodes(*all.value(), allowed, hugetlb_kb));
}

Result<std::shared_ptr<const HostStat>> HostSource::stat(uint64_t now_us) {
  constexpr int64_t kSetUs = 100;
  // Both clocks are slewed alike.
  const auto ahead_us =
      static_cast<int64_t>(clock_us(CLOCK_REALTIME)) - static_cast<int64_t>(boottime_us());
  const bool was_set = std::abs(ahead_us - impl_->realtime_ahead_us) > kSetUs;
  return impl_->stat.get(now_us, was_set ? impl_->tick_us : impl_->slow_tick_us,
                         [this, ahead_us](std::string_view text) {
                           impl_->realtime_ahead_us = ahead_us;
                           return parse_stat(text);
                         });
}

Result<std::shared_ptr<const HostCpuinfo>> HostSource::cpuinfo(uint64_t now_us) {
  auto info = impl_->cpuinfo.get(now_us, impl_->slow_tick_us, parse_cpuinfo, is_cpuinfo_of);
  const auto found = cpus(now_us);
  if (!info || !found) return info;
  const CpuSet& online = found.value()->online;
  if (impl_->described.is(online)) return info;
  if (!describes(*info.value(), online)) {
    info = impl_->cpuinfo.get(now_us, 0, parse_cpuinfo, is_cpuinfo_of);
  }
  if (info) impl_->described.set(online);
  return info;
}

#define VPROCFS_HOST_FILE(index, name, Name, bit, type, path, mode, others, changes)            \
  Result<std::shared_ptr<const type>> HostSource::name(uint64_t now_us) {                       \
    return impl_->name.get(now_us, impl_->slow_tick_us, [this, now_us](std::string_view text) { \
      return parse_##name(text, saturating_sub(now_us, impl_->machine.asleep_us()));            \
    });                                                                                         \
  }
#include "facts/host_files.def"
#undef VPROCFS_HOST_FILE

DiskLayers& HostSource::disk_layers() { return impl_->disk_layers; }

uint64_t HostSource::page_kb() const { return impl_->machine.page_kb; }

uint64_t HostSource::thp_kb(const HostMeminfo& meminfo) {
  if (const uint64_t known = impl_->thp_kb.load(std::memory_order_relaxed)) return known;
  const auto bytes = read_number(impl_->sysfs_fd, "kernel/mm/transparent_hugepage/hpage_pmd_size");
  uint64_t kb = bytes ? bytes.value() / 1024 : 0;
  if (kb == 0) kb = std::max<uint64_t>(meminfo.value("Hugepagesize").value_or(0), 1);
  if (bytes) impl_->thp_kb.store(kb, std::memory_order_relaxed);
  return kb;
}

Result<std::shared_ptr<const HostCpus>> HostSource::cpus(uint64_t now_us) {
  return impl_->cpus.get(now_us, impl_->tick_us,
                         [this, now_us] { return impl_->read_cpus(now_us); });
}

Result<std::shared_ptr<const std::vector<HostNode>>> HostSource::nodes(uint64_t now_us) {
  auto found =
      impl_->nodes.get(now_us, impl_->slow_tick_us, [this] { return read_nodes(impl_->sysfs_fd); });
  // Every memory figure needs them, and they are opened anew each time: without descriptors those
  // of before serve.
  const auto before = found ? nullptr : impl_->nodes.last();
  return before ? before : found;
}

Result<std::shared_ptr<const std::vector<HostHugePool>>> HostSource::huge_pools(uint64_t now_us) {
  const auto found = nodes(now_us);
  if (!found) return found.error();
  auto pools = impl_->huge_pools.get(
      now_us, impl_->tick_us, [&] { return read_huge_pools(impl_->sysfs_fd, *found.value()); });
  const auto before = pools ? nullptr : impl_->huge_pools.last();
  return before ? before : pools;
}

Result<std::vector<uint64_t>> HostSource::hugepage_kb(uint64_t now_us) {
  {
    const std::lock_guard lock(impl_->hugepage_mutex);
    if (!impl_->hugepage_kb.empty()) return impl_->hugepage_kb;
  }
  const auto pools = huge_pools(now_us);
  if (!pools) return pools.error();
  std::vector<uint64_t> sizes;
  for (const HostHugePool& pool : *pools.value()) sizes.push_back(pool.page_kb);
  if (!sizes.empty()) {
    const std::lock_guard lock(impl_->hugepage_mutex);
    impl_->hugepage_kb = sizes;
    return sizes;
  }
  const auto info = meminfo(now_us);
  if (!info && !is_absent(info.error().code)) return info.error();
  const auto usual = info ? info.value()->value("Hugepagesize") : std::nullopt;
  if (usual) sizes.push_back(*usual);
  return sizes;
}

void HostSource::warm_up(uint64_t now_us) {
  static_cast<void>(meminfo(now_us));
  static_cast<void>(stat(now_us));
  static_cast<void>(cpuinfo(now_us));
  static_cast<void>(hugepage_kb(now_us));
}

int HostSource::sysfs_fd() const { return impl_->sysfs_fd; }

namespace {

/// The root and the path below it of a View::path; -1 where it is in neither.
std::pair<int, std::string> below_root(int procfs_fd, int sysfs_fd, const std::string& path) {
  constexpr std::string_view kProc = "proc/", kSys = "sys/";
  if (starts_with(path, kProc)) return {procfs_fd, path.substr(kProc.size())};
  if (starts_with(path, kSys)) return {sysfs_fd, path.substr(kSys.size())};
  return {-1, path};
}

}  // namespace

bool HostSource::has(const std::string& path) const {
  const auto [root, name] = below_root(impl_->procfs_fd, impl_->sysfs_fd, path);
  return root >= 0 && ::faccessat(root, name.c_str(), F_OK, 0) == 0;
}

Result<std::string> HostSource::raw(const std::string& path) {
  const auto [root, name] = below_root(impl_->procfs_fd, impl_->sysfs_fd, path);
  if (root < 0) return Error{ENOENT, path};
  return read_file(root, name);
}

}  // namespace vprocfs
