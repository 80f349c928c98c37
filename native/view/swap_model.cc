#include "view/swap_model.h"

#include <algorithm>

#include "view/memory_model.h"

namespace vprocfs {

SwapModel swap_model(const Facts& facts) {
  SwapModel model;
  if (!facts.host_meminfo) return model;
  const uint64_t host_total = facts.host_meminfo->value("SwapTotal").value_or(0);
  const MemoryFacts& memory = facts.memory;
  const SwapFacts& swap = memory.swap;
  const bool is_limited = swap.limit_bytes && *swap.limit_bytes / 1024 < host_total;
  if (!is_accounted(facts) && !is_limited && !swap.used_bytes && !memory.headroom.swap_bytes) {
    model.from_host = true;
    model.total_kb = host_total;
    model.free_kb = std::min(host_total, facts.host_meminfo->value("SwapFree").value_or(0));
    model.own_kb = model.used_kb();
    return model;
  }
  const uint64_t used = swap.used_bytes.value_or(0) / 1024;
  if (swap.swappiness_zero && used == 0) return model;
  model.total_kb = swap.limit_bytes ? std::max(*swap.limit_bytes / 1024, used) : host_total;
  model.total_kb = std::min(model.total_kb, host_total);
  model.own_kb = std::min(used, model.total_kb);
  // What every level leaves, the node last.
  model.free_kb = std::min(model.total_kb - model.own_kb,
                           facts.host_meminfo->value("SwapFree").value_or(UINT64_MAX));
  if (memory.headroom.swap_bytes) {
    model.free_kb = std::min(model.free_kb, *memory.headroom.swap_bytes / 1024);
  }
  return model;
}

}  // namespace vprocfs
