#include "survey/counter_totals.h"

#include <fcntl.h>

#include <utility>

#include "base/words.h"
#include "source/parse.h"
#include "source/read_file.h"
#include "survey/totals_file.h"

namespace vprocfs {
namespace {

constexpr TotalsFile kFile("vprocfs-counters 1");

/// In the order of a line.
template <typename Counters, typename Visit>
void for_each_number(Counters& of, const Visit& visit) {
  visit(of.start_us);
  visit(of.above_us);
  for (auto* counter : {&of.read_bytes, &of.written_bytes}) {
    visit(counter->seen);
    visit(counter->lost);
  }
}

}  // namespace

std::string CounterTotals::text() const {
  std::string lines;
  for (const auto& [id, entry] : entries) {
    lines += id.name();
    for_each_number(entry, [&](uint64_t number) { lines += " " + std::to_string(number); });
    lines += "\n";
  }
  return kFile.text(lines);
}

std::optional<CounterTotals> CounterTotals::parse(std::string_view text) {
  CounterTotals out;
  const bool valid = kFile.parse(text, [&out](ContainerId id, std::string_view rest) {
    bool known = true;
    for_each_number(out.entries[id], [&](uint64_t& number) {
      const auto found = parse_u64(take_word(rest));
      known = known && found;
      number = found.value_or(0);
    });
    return known && rest.empty();
  });
  return valid ? std::optional<CounterTotals>(std::move(out)) : std::nullopt;
}

CounterTotals CounterTotals::load(const std::string& path) {
  const auto found = read_file(AT_FDCWD, path);
  if (!found) return {};
  return parse(found.value()).value_or(CounterTotals{});
}

}  // namespace vprocfs
