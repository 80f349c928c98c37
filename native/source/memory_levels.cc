#include "source/memory_levels.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/wide.h"
#include "source/controllers.h"
#include "source/parse.h"

namespace vprocfs {
namespace {

/// Of how many cgroups above a container files are kept open.
constexpr size_t kHeld = 2;

/// The smallest machine that is shown has a page, whatever its limit.
constexpr uint64_t kMinBytes = 4096;

/// The limit where it is one.
std::optional<uint64_t> below(const std::optional<uint64_t>& limit, uint64_t capacity) {
  return limit && *limit < capacity ? limit : std::nullopt;
}

/// v1 does not tell of slab.
uint64_t reclaimable_bytes(const MemoryStat& stat) {
  return stat.active_file.value_or(0) + stat.inactive_file.value_or(0) +
         stat.slab_reclaimable.value_or(0);
}

/// Without swap space such a limit leaves no less than the one of memory, which is not above it.
uint64_t capacity_of_both(const HostMemorySize& host) {
  return host.swap_bytes == 0 ? 0 : saturating_add(host.memory_bytes, host.swap_bytes);
}

/// Beyond a ceiling that much has to be reclaimed before anything can be had.
uint64_t left_when_reclaimed(uint64_t ceiling, uint64_t usage, const MemoryStat& stat) {
  return saturating_sub(saturating_add(ceiling, reclaimable_bytes(stat)), usage);
}

/// A limit or memory.high leaves `left`.
void note_available(MemoryHeadroom& headroom, uint64_t ceiling, uint64_t left) {
  if (headroom.available_bytes && left >= *headroom.available_bytes) return;
  headroom.available_bytes = left;
  headroom.ceiling_bytes = ceiling;
}

}  // namespace

void MemoryLevels::clear() {
  own_ = {};
  above_.clear();
}

void MemoryLevels::add(size_t level, const Limits& given) {
  Limits limits = given;
  for (auto* limit : {&limits.memory_bytes, &limits.high_bytes, &limits.both_bytes}) {
    if (*limit) *limit = std::max(**limit, kMinBytes);
  }
  if (level == 0) {
    own_ = limits;
    return;
  }
  if (!limits.memory_bytes && !limits.high_bytes && !limits.swap_bytes && !limits.both_bytes)
    return;
  Level at;
  at.level = level;
  at.limits = limits;
  above_.push_back(std::move(at));
}

Result<std::optional<std::string_view>> MemoryLevels::read_file(Level& at, Fd& file,
                                                                const char* name,
                                                                ReadBuffer& buffer) {
  Fd once;
  const bool held = static_cast<size_t>(&at - above_.data()) < kHeld;
  Fd& open = held ? file : once;
  if (!open) {
    std::string path;
    for (size_t i = 0; i < at.level; ++i) path += "../";
    auto opened = open_file(dir_->fd(), path + name);
    if (!opened) {
      if (is_absence(opened.error().code)) return std::optional<std::string_view>();
      return dir_->error(opened.error().code, name);
    }
    open = std::move(opened.value());
  }
  const int code = buffer.read_record(open.get());
  if (code == 0 && !buffer.text().empty()) return std::optional(buffer.text());
  open.reset();
  if (code == 0 || is_absence(code)) return std::optional<std::string_view>();
  return dir_->error(code, name);
}

std::optional<Error> MemoryLevels::read_figure(Level& at, Fd& file, const char* name,
                                               ReadBuffer& buffer,
                                               std::optional<uint64_t>& figure) {
  const auto text = read_file(at, file, name, buffer);
  if (!text) return text.error();
  figure = text.value() ? parse_u64(*text.value()) : std::nullopt;
  return std::nullopt;
}

std::optional<Error> MemoryLevels::take_available(Level& at, ReadBuffer& buffer, uint64_t ceiling,
                                                  uint64_t usage, MemoryHeadroom& headroom) {
  if (headroom.available_bytes && saturating_sub(ceiling, usage) >= *headroom.available_bytes)
    return std::nullopt;
  const auto stat = read_file(at, at.stat, files_.stat, buffer);
  if (!stat) return stat.error();
  const MemoryStat its = stat.value() ? files_.parse_stat(*stat.value()) : MemoryStat();
  note_available(headroom, ceiling, left_when_reclaimed(ceiling, usage, its));
  return std::nullopt;
}

std::optional<Error> MemoryLevels::take_memory(Level& at, ReadBuffer& buffer,
                                               const HostMemorySize& host,
                                               MemoryHeadroom& headroom) {
  const auto limit = below(at.limits.memory_bytes, host.memory_bytes);
  auto ceiling = limit;
  take_lower(ceiling, below(at.limits.high_bytes, host.memory_bytes));
  if (!ceiling) return std::nullopt;
  std::optional<uint64_t> usage;
  if (auto error = read_figure(at, at.usage, files_.usage, buffer, usage)) return error;
  if (!usage) return std::nullopt;
  if (limit) take_lower(headroom.free_bytes, saturating_sub(*limit, *usage));
  return take_available(at, buffer, *ceiling, *usage, headroom);
}

std::optional<Error> MemoryLevels::take_both(Level& at, ReadBuffer& buffer, const MemoryFacts& own,
                                             const HostMemorySize& host, MemoryHeadroom& headroom) {
  const auto limit = below(at.limits.both_bytes, capacity_of_both(host));
  if (!limit) return std::nullopt;
  std::optional<uint64_t> usage;
  if (auto error = read_figure(at, at.swap_usage, files_.swap_usage, buffer, usage)) return error;
  if (!usage) return std::nullopt;
  const uint64_t left = saturating_sub(*limit, *usage);
  take_lower(headroom.free_bytes, left);
  take_lower(headroom.swap_bytes, saturating_add(left, own.usage_bytes.value_or(0)));
  return take_available(at, buffer, *limit, *usage, headroom);
}

std::optional<Error> MemoryLevels::take_swap(Level& at, ReadBuffer& buffer,
                                             const HostMemorySize& host, MemoryHeadroom& headroom) {
  const auto limit = below(at.limits.swap_bytes, host.swap_bytes);
  if (!limit) return std::nullopt;
  std::optional<uint64_t> used = 0;
  if (*limit > 0) {
    if (auto error = read_figure(at, at.swap_usage, files_.swap_usage, buffer, used)) return error;
  }
  if (used) take_lower(headroom.swap_bytes, saturating_sub(*limit, *used));
  return std::nullopt;
}

Result<MemoryHeadroom> MemoryLevels::read(ReadBuffer& buffer, const MemoryFacts& own,
                                          const HostMemorySize& host) {
  MemoryHeadroom headroom;
  // In whole kB, as what is in use is shown.
  const uint64_t used = own.usage_bytes.value_or(0) / 1024 * 1024;
  auto ceiling = below(own_.memory_bytes, host.memory_bytes);
  if (ceiling) headroom.free_bytes = saturating_sub(*ceiling, used);
  take_lower(ceiling, below(own_.high_bytes, host.memory_bytes));
  if (ceiling) {
    note_available(headroom, *ceiling, left_when_reclaimed(*ceiling, used, own.stat));
  }
  if (const auto both = below(own_.both_bytes, capacity_of_both(host))) {
    const uint64_t used_of_both = saturating_add(used, own.swap.used_bytes.value_or(0));
    take_lower(headroom.free_bytes, saturating_sub(*both, used_of_both));
    note_available(headroom, *both, left_when_reclaimed(*both, used_of_both, own.stat));
  }
  if (const auto swap = below(own_.swap_bytes, host.swap_bytes)) {
    const uint64_t used_of_swap = own.swap.used_bytes.value_or(0) / 1024 * 1024;
    headroom.swap_bytes = saturating_sub(*swap, used_of_swap);
  }
  for (Level& at : above_) {
    if (auto error = take_memory(at, buffer, host, headroom)) return *error;
    if (auto error = take_both(at, buffer, own, host, headroom)) return *error;
    if (auto error = take_swap(at, buffer, host, headroom)) return *error;
  }
  return headroom;
}

}  // namespace vprocfs
