#include "container/cpu_use.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "base/clock_tick.h"
#include "base/shares.h"

namespace vprocfs {
namespace {

/// Splits `amount` in proportion to `weights`, as far as there is room, which the parts take.
CpuValues fill(uint64_t amount, const CpuValues& weights, CpuValues& room) {
  CpuValues parts = split(amount, weights);
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i] = std::min(parts[i], room[i]);
    room[i] -= parts[i];
  }
  return parts;
}

}  // namespace

CpuUse CpuUse::at_most(uint64_t limit) const {
  if (sum() <= limit) return *this;
  const CpuValues parts = split(limit, {user, nice, system});
  return {parts[0], parts[1], parts[2]};
}

uint64_t sum_of(const CpuValues& values) {
  return std::accumulate(values.begin(), values.end(), uint64_t{0});
}

CpuValues split_evenly(uint64_t amount, const CpuValues& reached) {
  const size_t count = reached.size();
  CpuValues parts(count, amount / kClockTickUs / count * kClockTickUs);
  uint64_t rest = amount - parts[0] * count;
  if (rest >= kClockTickUs) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return reached[a] < reached[b]; });
    for (size_t i = 0; rest >= kClockTickUs; ++i, rest -= kClockTickUs) {
      parts[order[i]] += kClockTickUs;
    }
  }
  const auto nearest = std::max_element(reached.begin(), reached.end(), [](uint64_t a, uint64_t b) {
    return a % kClockTickUs < b % kClockTickUs;
  });
  parts[static_cast<size_t>(nearest - reached.begin())] += rest;
  return parts;
}

CpuValues fit(std::vector<CpuUse>& by_cpu, uint64_t dt) {
  CpuValues room(by_cpu.size());
  CpuUse excess;
  for (size_t i = 0; i < by_cpu.size(); ++i) {
    const CpuUse wanted = by_cpu[i];
    by_cpu[i] = wanted.at_most(dt);
    const CpuUse over = wanted.less(by_cpu[i]);
    excess = {excess.user + over.user, excess.nice + over.nice, excess.system + over.system};
    room[i] = dt - by_cpu[i].sum();
  }
  for (uint64_t CpuUse::*kind : {&CpuUse::user, &CpuUse::nice, &CpuUse::system}) {
    if (excess.*kind == 0) continue;
    const CpuValues parts = fill(excess.*kind, room, room);
    for (size_t i = 0; i < by_cpu.size(); ++i) by_cpu[i].*kind += parts[i];
  }
  return room;
}

CpuValues split_into(uint64_t amount, CpuValues room) {
  if (amount == 0) return CpuValues(room.size());
  CpuValues parts = fill(amount, CpuValues(room.size(), 1), room);
  const CpuValues more = fill(amount - sum_of(parts), room, room);
  for (size_t i = 0; i < parts.size(); ++i) parts[i] += more[i];
  return parts;
}

}  // namespace vprocfs
