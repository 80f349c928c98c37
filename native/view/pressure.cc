#include "view/view.h"

namespace vprocfs {
namespace {

void write_line(std::string_view key, const std::optional<PressureLine>& line, Writer& writer) {
  if (!line) return;
  writer.text(key).text(" avg10=").fixed(line->averages[0], 2);
  writer.text(" avg60=").fixed(line->averages[1], 2);
  writer.text(" avg300=").fixed(line->averages[2], 2);
  writer.text(" total=").number(line->total_us).ch('\n');
}

}  // namespace

/// Each file of /proc/pressure (kernel/sched/psi.c, psi_show()), without lines that the kernel does
/// not have (`full` for CPUs before 5.13).
void render_pressure(const Facts& facts, Writer& writer) {
  write_line("some", facts.pressure.some, writer);
  write_line("full", facts.pressure.full, writer);
}

}  // namespace vprocfs
