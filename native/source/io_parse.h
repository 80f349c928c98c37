#pragma once

#include <optional>
#include <string_view>

#include "facts/io.h"

namespace vprocfs {

/// Both parts of a device's number; nothing for what is none.
std::optional<DeviceNumber> device_of(std::string_view major, std::string_view minor);
/// "254:16"; nothing for anything else.
std::optional<DeviceNumber> parse_device(std::string_view text);

/// The figures of `device`, put in (all 0) where it has none yet. Nullptr past the bound on
/// devices, which no real host has.
DeviceIo* io_of(IoFacts& facts, DeviceNumber device);

/// Adds what io.stat of v2 says (block/blk-cgroup.c): "MAJ:MIN rbytes=.. wbytes=.. rios=.. ...".
/// Devices without figures, keys of other policies and several devices in one line (6.1) are fine.
void add_io_stat(std::string_view text, IoFacts& facts);

/// Adds the devices that io.max of v2 limits, without figures.
void add_io_max(std::string_view text, IoFacts& facts);

/// Which figures a file of v1 has.
enum class IoUnit : uint8_t { kBytes, kRequests };

/// The files of v1. The throttling policy counts every request, but only for devices on which some
/// limit was set once; bfq counts what it schedules. A kernel may have either, both or none in use.
struct BlkioFile {
  const char* name;
  const char* older;  ///< of the cgroup alone, for kernels that lack the first one
  IoUnit unit;
};
inline constexpr BlkioFile kBlkioFiles[] = {
    {"blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes",
     IoUnit::kBytes},
    {"blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced", IoUnit::kRequests},
    {"blkio.bfq.io_service_bytes_recursive", "blkio.bfq.io_service_bytes", IoUnit::kBytes},
    {"blkio.bfq.io_serviced_recursive", "blkio.bfq.io_serviced", IoUnit::kRequests},
};

/// Adds what blkio.throttle.io_service_bytes_recursive, blkio.throttle.io_serviced_recursive and
/// the others of kBlkioFiles say (block/blk-cgroup-rwstat.c): "MAJ:MIN Read N", one line per kind.
/// Where a device has a figure already the larger one stays: both files count the same requests.
void add_blkio(std::string_view text, IoUnit unit, IoFacts& facts);

}  // namespace vprocfs
