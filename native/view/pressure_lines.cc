#include "view/pressure_lines.h"

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

void write_pressure(const PressureFacts& facts, Writer& writer) {
  write_line("some", facts.some, writer);
  write_line("full", facts.full, writer);
}

}  // namespace vprocfs
