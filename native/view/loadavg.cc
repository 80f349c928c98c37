#include <algorithm>

#include "base/wide.h"
#include "view/view.h"

namespace vprocfs {
namespace {

constexpr uint64_t kHalfHundredth = kFixedOne / 200;

/// Two digits after the point.
void write_average(uint64_t average, Writer& writer) {
  const uint64_t rounded = saturating_add(average, kHalfHundredth);
  writer.number(rounded / kFixedOne).ch('.');
  const uint64_t hundredths = rounded % kFixedOne * 100 / kFixedOne;
  if (hundredths < 10) writer.ch('0');
  writer.number(hundredths).ch(' ');
}

}  // namespace

/// /proc/loadavg (fs/proc/loadavg.c): the averages, running and all tasks, the newest PID.
void render_loadavg(const Facts& facts, Writer& writer) {
  for (const uint64_t average : facts.tasks.load) write_average(average, writer);
  // Whoever reads this is running.
  const uint64_t running = std::max<uint64_t>(facts.tasks.running, 1);
  writer.number(running).ch('/').number(std::max(facts.tasks.total, running)).ch(' ');
  writer.number(std::max<uint64_t>(facts.tasks.last_pid, 1)).ch('\n');
}

}  // namespace vprocfs
