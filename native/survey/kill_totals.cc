#include "survey/kill_totals.h"

#include <fcntl.h>

#include "base/words.h"
#include "source/parse.h"
#include "source/read_file.h"
#include "survey/totals_file.h"

namespace vprocfs {
namespace {

constexpr TotalsFile kFile("vprocfs-kills 1");

}  // namespace

bool KillTotals::count(ContainerId id, uint64_t sequence) {
  const auto found = entries.find(id);
  if (found != entries.end() && sequence <= found->second.sequence) return false;
  Entry& entry = found == entries.end() ? entries[id] : found->second;
  ++entry.kills;
  entry.sequence = sequence;
  return true;
}

std::string KillTotals::text() const {
  std::string lines;
  for (const auto& [id, entry] : entries) {
    lines += id.name() + " " + std::to_string(entry.kills) + " " + std::to_string(entry.sequence);
    lines += "\n";
  }
  return kFile.text(lines);
}

std::optional<KillTotals> KillTotals::parse(std::string_view text) {
  KillTotals out;
  const bool valid = kFile.parse(text, [&out](ContainerId id, std::string_view rest) {
    const auto kills = parse_u64(take_word(rest));
    const auto sequence = parse_u64(rest);
    if (kills && sequence) out.entries[id] = {*kills, *sequence};
    return kills && sequence;
  });
  return valid ? std::optional<KillTotals>(std::move(out)) : std::nullopt;
}

KillTotals KillTotals::load(const std::string& path) {
  const auto found = read_file(AT_FDCWD, path);
  if (!found) return {};
  return parse(found.value()).value_or(KillTotals{});
}

Result<bool> KillTotals::save(const std::string& path) const {
  return TotalsFile::save(path, text());
}

}  // namespace vprocfs
