#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "container/cpu_move.h"
#include "container/quotas_above.h"
#include "facts/cpu.h"
#include "source/container_source.h"
#include "survey/figures.h"
#include "survey/totals.h"

namespace vprocfs {

/// CPU time of a container, reported so that it only grows, whatever cgroups it is moved to.
class CpuTotals {
 public:
  /// Takes a reading of the source that has these places. `cpus`: how many the node has.
  void take(CpuUsageFacts usage, const CpuPlaces& places, size_t cpus, uint64_t now_us,
            KeptCounters& kept);
  /// Takes the last reading of cgroups that it has left. Without one, what is new in them is lost.
  void take_last(CpuUsageFacts usage, const KeptCounters& kept);
  void tell(const KeptCounters& kept, Figures& out) const;

 private:
  void note(CpuUsageFacts usage);

  std::array<uint64_t, kCpuKinds> reported_{};
  CpuUsageFacts last_;  ///< the last reading, without single CPUs
  LeftPlaces time_, quota_;
  std::optional<CpuPlaces> places_;  ///< of the last reading
  uint64_t taken_us_ = 0;            ///< when that was
  QuotasAbove above_;
};

}  // namespace vprocfs
