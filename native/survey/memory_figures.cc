#include "survey/memory_figures.h"

#include <optional>

#include "container/gather.h"
#include "view/memory_model.h"

namespace vprocfs {
namespace {

constexpr double kKb = 1024;

}  // namespace

Result<bool> read_memory_figures(HostSource& host, ContainerSource& source, uint64_t now_us,
                                 Figures& out) {
  Facts facts;
  std::optional<CpuSet> allowed;
  HostMemorySize all;
  Error error;
  if (!gather_host_memory(host, source, now_us, facts, allowed, all, error)) return error;
  auto memory = source.memory(MemoryEvents::kNone, all);
  if (!memory) return memory.error();
  facts.memory = memory.value();
  const MemoryModel model = memory_model(facts);
  out.set(Figure::kMemoryLimit, facts.memory.limit_bytes);
  out.set(Figure::kMemoryTotal, static_cast<double>(model.total) * kKb);
  out.set(Figure::kSwapLimit, facts.memory.swap.limit_bytes);
  out.set(Figure::kSwapTotal, static_cast<double>(model.swap_total) * kKb);
  out.set(Figure::kSwapUsage, facts.memory.swap.used_bytes);
  if (model.accounted) {
    out.set(Figure::kMemoryAvailable, static_cast<double>(model.available) * kKb);
    out.set(Figure::kMemoryHeadroom, facts.memory.headroom.available_bytes);
    if (facts.memory.headroom.available_bytes) {
      out.set(Figure::kMemoryCeiling, static_cast<double>(facts.memory.headroom.ceiling_bytes));
    }
    out.set(Figure::kMemoryUsage, facts.memory.usage_bytes);
    out.set(Figure::kMemoryReclaimable,
            static_cast<double>(model.inactive_file + model.active_file + model.slab_reclaimable) *
                kKb);
    out.set(Figure::kMemoryCache, static_cast<double>(model.cached) * kKb);
  }
  return true;
}

}  // namespace vprocfs
