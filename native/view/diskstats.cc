#include <array>

#include "view/view.h"

namespace vprocfs {
namespace {

constexpr size_t kSectorBytes = 512;  // whatever the device's own is (include/linux/blk_types.h)

/// The columns that a cgroup tells, by their place after the name (Documentation/admin-guide/
/// iostats.rst). All others (merges, times, requests in flight, flushes) stay 0.
constexpr size_t kReads = 0, kSectorsRead = 2, kWrites = 4, kSectorsWritten = 6;
constexpr size_t kDiscards = 11, kSectorsDiscarded = 13;
constexpr size_t kKnownColumns = 17;

std::array<uint64_t, kKnownColumns> columns_of(const DeviceIo& io) {
  std::array<uint64_t, kKnownColumns> columns{};
  columns[kReads] = io.reads;
  columns[kSectorsRead] = io.read_bytes / kSectorBytes;
  columns[kWrites] = io.writes;
  columns[kSectorsWritten] = io.written_bytes / kSectorBytes;
  columns[kDiscards] = io.discards;
  columns[kSectorsDiscarded] = io.discarded_bytes / kSectorBytes;
  return columns;
}

}  // namespace

/// /proc/diskstats (block/genhd.c, diskstats_show): the container's own figures of its devices, in
/// the host's order, with as many columns as the host's kernel has. Devices that are gone have no
/// line on the host, hence none here.
void render_diskstats(const Facts& facts, Writer& writer) {
  if (!facts.host_diskstats) return;
  for (const HostDisk& disk : *facts.host_diskstats) {
    const DeviceIo* io = facts.io.find(disk.device);
    if (io == nullptr) continue;
    writer.right(disk.device.major, 4).ch(' ').right(disk.device.minor, 7).ch(' ').text(disk.name);
    const auto columns = columns_of(*io);
    for (size_t i = 0; i < disk.columns; ++i) {
      writer.ch(' ').number(i < columns.size() ? columns[i] : 0);
    }
    writer.ch('\n');
  }
}

}  // namespace vprocfs
