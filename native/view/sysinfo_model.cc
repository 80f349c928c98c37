#include "view/sysinfo_model.h"

#include <algorithm>

#include "base/wide.h"
#include "view/memory_lines.h"

namespace vprocfs {
namespace {

constexpr uint64_t kUsPerSecond = 1'000'000;
constexpr unsigned kLoadShift = 16 - 11;  // SI_LOAD_SHIFT - FSHIFT

uint64_t bytes(uint64_t kb) { return saturating_mul(kb, 1024); }

}  // namespace

uint64_t uptime_seconds(uint64_t uptime_us) {
  return (uptime_us + kUsPerSecond - 1) / kUsPerSecond;
}

SysinfoFigures sysinfo_figures(const Facts& facts) {
  SysinfoFigures out;
  out.uptime_s = uptime_seconds(facts.clock.uptime_us);
  for (size_t i = 0; i < out.loads.size(); ++i) out.loads[i] = facts.tasks.load[i] << kLoadShift;
  out.tasks = std::max(facts.tasks.total, facts.tasks.running);
  const MemoryModel model = memory_model(facts);
  const auto line = [&](const char* label) {
    return bytes(shown_in(model, *facts.host_meminfo, label));
  };
  out.total = line("MemTotal");
  out.free = line("MemFree");
  out.shared = line("Shmem");
  out.buffers = line("Buffers");
  out.swap_total = bytes(model.swap_total);
  out.swap_free = bytes(model.swap_free);
  return out;
}

}  // namespace vprocfs
