#include "source/host_shapes.h"

#include <atomic>

#include "source/host_file.h"
#include "source/shape_parse.h"

namespace vprocfs {
namespace {

/// A file of the host and what it last said.
template <typename T>
class Shape {
 public:
  Shape(int procfs_fd, const char* path) : file_(procfs_fd, path) {}

  /// `parse(text)` gives the value, or nothing where the text makes no sense.
  template <typename Parse>
  Result<std::shared_ptr<const T>> get(uint64_t now_us, uint64_t tick_us, Parse parse) {
    return kept_.get(now_us, tick_us, [&] { return read_host<T>(file_, true, parse); });
  }

 private:
  HostFile file_;
  Kept<T> kept_;
};

/// As a parser that always finds something.
template <typename T, T (*parse)(std::string_view)>
std::optional<T> always(std::string_view text) {
  return parse(text);
}

}  // namespace

struct HostShapes::Impl {
  Impl(int procfs_fd, bool fresh)
      : tick_us(fresh ? 0 : kSlowTickUs),
        disks(procfs_fd, "diskstats"),
        partitions(procfs_fd, "partitions"),
        vmstat(procfs_fd, "vmstat"),
        zoneinfo(procfs_fd, "zoneinfo"),
        buddyinfo(procfs_fd, "buddyinfo"),
        softirqs(procfs_fd, "softirqs"),
        interrupts(procfs_fd, "interrupts"),
        schedstat(procfs_fd, "schedstat"),
        arcstats(procfs_fd, "spl/kstat/zfs/arcstats") {}

  const uint64_t tick_us;
  Shape<std::vector<HostDisk>> disks;
  Shape<std::vector<HostPartition>> partitions;
  Shape<HostVmstat> vmstat;
  Shape<HostZoneinfo> zoneinfo;
  Shape<HostBuddyinfo> buddyinfo;
  Shape<HostCpuTable> softirqs, interrupts;
  Shape<HostSchedstat> schedstat;
  Shape<HostArcstats> arcstats;
  std::atomic<uint64_t> page_kb{0};
};

HostShapes::HostShapes(int procfs_fd, bool fresh)
    : impl_(std::make_unique<Impl>(procfs_fd, fresh)) {}
HostShapes::~HostShapes() = default;

Result<std::shared_ptr<const std::vector<HostDisk>>> HostShapes::disks(uint64_t now_us) {
  return impl_->disks.get(now_us, impl_->tick_us, always<std::vector<HostDisk>, parse_diskstats>);
}

Result<std::shared_ptr<const std::vector<HostPartition>>> HostShapes::partitions(uint64_t now_us) {
  return impl_->partitions.get(now_us, impl_->tick_us,
                               always<std::vector<HostPartition>, parse_partitions>);
}

Result<std::shared_ptr<const HostVmstat>> HostShapes::vmstat(uint64_t now_us) {
  return impl_->vmstat.get(now_us, impl_->tick_us, parse_vmstat);
}

Result<std::shared_ptr<const HostZoneinfo>> HostShapes::zoneinfo(uint64_t now_us) {
  return impl_->zoneinfo.get(now_us, impl_->tick_us, parse_zoneinfo);
}

Result<std::shared_ptr<const HostBuddyinfo>> HostShapes::buddyinfo(uint64_t now_us) {
  return impl_->buddyinfo.get(now_us, impl_->tick_us, parse_buddyinfo);
}

Result<std::shared_ptr<const HostCpuTable>> HostShapes::softirqs(uint64_t now_us) {
  return impl_->softirqs.get(now_us, impl_->tick_us, parse_cpu_table);
}

Result<std::shared_ptr<const HostCpuTable>> HostShapes::interrupts(uint64_t now_us) {
  return impl_->interrupts.get(now_us, impl_->tick_us, parse_cpu_table);
}

Result<std::shared_ptr<const HostSchedstat>> HostShapes::schedstat(uint64_t now_us) {
  return impl_->schedstat.get(now_us, impl_->tick_us, [now_us](std::string_view text) {
    return parse_schedstat(text, now_us);
  });
}

Result<std::shared_ptr<const HostArcstats>> HostShapes::arcstats(uint64_t now_us) {
  return impl_->arcstats.get(now_us, impl_->tick_us, parse_arcstats);
}

uint64_t HostShapes::page_kb(const HostMeminfo& meminfo, uint64_t now_us) {
  constexpr uint64_t kUsual = 4, kLargest = 1024;
  if (const uint64_t known = impl_->page_kb.load(std::memory_order_relaxed)) return known;
  const auto figures = vmstat(now_us);
  if (!figures) return kUsual;
  uint64_t pages = 0;
  for (const auto& line : figures.value()->lines) {
    if (line.key == "nr_anon_pages" || line.key == "nr_mapped") pages += line.value;
  }
  const uint64_t kb = meminfo.value("AnonPages").value_or(0) + meminfo.value("Mapped").value_or(0);
  // They are read one after the other: the power of two that comes nearest.
  uint64_t page_kb = kUsual;
  if (pages > 0) {
    while (page_kb < kLargest && pages <= kb / 3 * 2 / page_kb) page_kb *= 2;
  }
  impl_->page_kb.store(page_kb, std::memory_order_relaxed);
  return page_kb;
}

}  // namespace vprocfs
