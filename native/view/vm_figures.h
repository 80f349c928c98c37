#pragma once

#include <cstdint>
#include <string_view>

#include "base/affix.h"
#include "base/wide.h"
#include "facts/facts.h"
#include "view/memory_model.h"

namespace vprocfs {

/// An amount of mm/vmstat.c, and where /proc/meminfo has it.
struct VmAmount {
  /// What it is counted in (vmstat_item_print_in_thp, and the names themselves).
  enum class Unit : uint8_t { kPages, kHugePages, kKb };

  std::string_view key;
  Unit unit;
  std::string_view labels[3];  ///< of the lines that add up to it; empty ones stand for none

  /// It in its unit; `kb_of` tells what a line has.
  template <typename KbOf>
  uint64_t of(const Facts& facts, const KbOf& kb_of) const {
    uint64_t kb = 0;
    for (const std::string_view label : labels) {
      if (!label.empty()) kb = saturating_add(kb, kb_of(label));
    }
    switch (unit) {
      case Unit::kPages:
        return kb / facts.page_kb;
      case Unit::kHugePages:
        return kb / facts.thp_kb;
      case Unit::kKb:
        return kb;
    }
    return 0;
  }
};

/// nullptr: the amount is not known, or is not a sum of lines.
const VmAmount* find_vm_amount(std::string_view key);

/// The figures of mm/vmstat.c (/proc/vmstat, /proc/zoneinfo) of a container, from the same model as
/// /proc/meminfo: an amount in pages here is the amount in kB there.
class VmFigures {
 public:
  /// Needs `facts.host_meminfo` and the sizes of pages. Keeps a reference to `facts`.
  explicit VmFigures(const Facts& facts) : facts_(facts), model_(memory_model(facts)) {}

  const MemoryModel& model() const { return model_; }

  /// An amount that the memory of a container has now, by the kernel's name ("nr_free_pages"), in
  /// the kernel's unit for it (mostly pages). Most are not known, and are 0.
  uint64_t amount(std::string_view key) const;

  /// An event since the container began ("pgfault"); 0 where nothing counts it for a container.
  /// Never decreases.
  uint64_t event(std::string_view key) const;

  /// Whether `key` names an amount rather than an event.
  static bool is_amount(std::string_view key) { return starts_with(key, "nr_"); }

  uint64_t pages(uint64_t kb) const { return kb / facts_.page_kb; }

 private:
  const Facts& facts_;
  MemoryModel model_;
};

}  // namespace vprocfs
