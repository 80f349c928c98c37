#include "seccomp/call.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "seccomp/abi.h"

namespace vprocfs {
namespace {

/// struct sysinfo of include/uapi/linux/sysinfo.h where long has 64 bits.
struct Sysinfo64 {
  int64_t uptime;
  uint64_t loads[3];
  uint64_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  uint16_t procs, pad;
  uint64_t totalhigh, freehigh;
  uint32_t mem_unit;
};
static_assert(sizeof(Sysinfo64) == 112);

/// struct compat_sysinfo of kernel/sys.c.
struct Sysinfo32 {
  int32_t uptime;
  uint32_t loads[3];
  uint32_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
  uint16_t procs, pad;
  uint32_t totalhigh, freehigh;
  uint32_t mem_unit;
  char unused[8];
};
static_assert(sizeof(Sysinfo32) == 64);

template <typename To>
To clamped(uint64_t value) {
  return static_cast<To>(std::min<uint64_t>(value, std::numeric_limits<To>::max()));
}

template <typename T>
std::vector<uint8_t> bytes_of(const T& value) {
  std::vector<uint8_t> out(sizeof(T));
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

}  // namespace

KnownCall call_of(const seccomp_data& data) {
  for (const Abi& abi : kAbis) {
    if (data.arch != abi.arch) continue;
    if (data.nr == abi.sysinfo) return {Call::kSysinfo, abi.is_32bit};
    if (data.nr == abi.affinity) return {Call::kAffinity, abi.is_32bit};
    if (data.nr == abi.syslog) return {Call::kSyslog, abi.is_32bit};
  }
  return {};
}

SyslogCall syslog_of(const seccomp_data& data) {
  SyslogCall out;
  out.action = static_cast<int32_t>(data.args[0]);
  out.buffer = call_of(data).is_32bit ? static_cast<uint32_t>(data.args[1]) : data.args[1];
  out.bytes = static_cast<int32_t>(data.args[2]);
  return out;
}

std::vector<uint8_t> encode_sysinfo64(const SysinfoFigures& f) {
  Sysinfo64 out;
  std::memset(&out, 0, sizeof(out));
  out.uptime = clamped<int64_t>(f.uptime_s);
  std::copy(f.loads.begin(), f.loads.end(), out.loads);
  out.totalram = f.total;
  out.freeram = f.free;
  out.sharedram = f.shared;
  out.bufferram = f.buffers;
  out.totalswap = f.swap_total;
  out.freeswap = f.swap_free;
  out.procs = clamped<uint16_t>(f.tasks);
  out.mem_unit = 1;
  return bytes_of(out);
}

std::vector<uint8_t> encode_sysinfo32(const SysinfoFigures& f, uint32_t page_bytes) {
  uint32_t unit = 1;
  unsigned shift = 0;
  constexpr uint64_t kMax32 = std::numeric_limits<uint32_t>::max();
  if (f.total > kMax32 || f.swap_total > kMax32) {
    for (; unit < page_bytes; unit <<= 1) ++shift;
  }
  Sysinfo32 out;
  std::memset(&out, 0, sizeof(out));
  out.uptime = clamped<int32_t>(f.uptime_s);
  for (size_t i = 0; i < f.loads.size(); ++i) out.loads[i] = clamped<uint32_t>(f.loads[i]);
  out.totalram = clamped<uint32_t>(f.total >> shift);
  out.freeram = clamped<uint32_t>(f.free >> shift);
  out.sharedram = clamped<uint32_t>(f.shared >> shift);
  out.bufferram = clamped<uint32_t>(f.buffers >> shift);
  out.totalswap = clamped<uint32_t>(f.swap_total >> shift);
  out.freeswap = clamped<uint32_t>(f.swap_free >> shift);
  out.procs = clamped<uint16_t>(f.tasks);
  out.mem_unit = unit;
  return bytes_of(out);
}

}  // namespace vprocfs
