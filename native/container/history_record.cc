#include "container/history_record.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/wide.h"
#include "container/life_record.h"

namespace vprocfs {
namespace {

struct PackedCpu {
  uint64_t id, shown;
  CpuCounters counters;
  uint64_t seen_user_us, seen_system_us;
};

struct Packed {
  uint64_t count;
  uint64_t untold_us;  ///< with what is pending; 1 in records of earlier versions
  uint64_t uptime_us;
  uint64_t seen_user_us, seen_nice_us, seen_system_us, seen_throttled_us;
  uint64_t pending_user_us, pending_nice_us, pending_system_us;
};

// QuotasAbove may follow the CPUs. Earlier versions take what is shorter than a CPU for nothing.
static_assert(sizeof(QuotasAbove) < sizeof(PackedCpu));
static_assert(std::is_trivially_copyable_v<QuotasAbove>);
static_assert(std::is_trivially_copyable_v<Packed> && std::is_trivially_copyable_v<PackedCpu>);

}  // namespace

std::string pack_history(const CpuHistory& h) {
  std::string out;
  out.reserve(sizeof(Packed) + h.cpus.size() * sizeof(PackedCpu));
  // Pending throttled time is told once more to whoever reads this.
  const uint64_t own = std::min(h.seen.throttled_us, h.pending_steal_us);
  append(out, Packed{h.cpus.size(), saturating_add(h.untold_us, h.pending_steal_us), h.uptime_us,
                     h.seen.user_us, h.seen.nice_us, h.seen.system_us, h.seen.throttled_us - own,
                     h.pending_user_us, h.pending_nice_us, h.pending_system_us});
  for (const auto& cpu : h.cpus) {
    append(out, PackedCpu{cpu.id, cpu.shown ? 1u : 0u, cpu.counters, cpu.seen_user_us,
                          cpu.seen_system_us});
  }
  if (h.above.is_known()) {
    QuotasAbove above = h.above;
    above.give_back(h.pending_steal_us - own);
    append(out, above);
  }
  return out;
}

bool unpack_history(const void* data, size_t bytes, CpuHistory& out) {
  Packed packed;
  if (bytes < sizeof(packed)) return false;
  std::memcpy(&packed, data, sizeof(packed));
  const size_t room = (bytes - sizeof(packed)) / sizeof(PackedCpu);
  if (packed.count != room) return false;
  CpuHistory h;
  h.uptime_us = packed.uptime_us;
  h.untold_us = packed.untold_us;
  h.seen.user_us = packed.seen_user_us;
  h.seen.nice_us = packed.seen_nice_us;
  h.seen.system_us = packed.seen_system_us;
  h.seen.throttled_us = packed.seen_throttled_us;
  h.pending_user_us = packed.pending_user_us;
  h.pending_nice_us = packed.pending_nice_us;
  h.pending_system_us = packed.pending_system_us;
  const auto* at = static_cast<const uint8_t*>(data) + sizeof(packed);
  for (size_t i = 0; i < room; ++i, at += sizeof(PackedCpu)) {
    PackedCpu cpu;
    std::memcpy(&cpu, at, sizeof(cpu));
    h.cpus.push_back({static_cast<uint32_t>(cpu.id), cpu.shown != 0, cpu.counters, cpu.seen_user_us,
                      cpu.seen_system_us});
  }
  if (bytes - sizeof(packed) - room * sizeof(PackedCpu) == sizeof(h.above)) {
    std::memcpy(&h.above, at, sizeof(h.above));
  }
  out = std::move(h);
  return true;
}

}  // namespace vprocfs
