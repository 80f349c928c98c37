#include "survey/kill_totals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/fd.h"
#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

constexpr std::string_view kFirst = "vprocfs-kills 1";
constexpr std::string_view kEnd = "end";

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
  std::string out = std::string(kFirst) + "\n";
  for (const auto& [id, entry] : entries) {
    out += id.name() + " " + std::to_string(entry.kills) + " " + std::to_string(entry.sequence);
    out += "\n";
  }
  return out.append(kEnd) + "\n";
}

std::optional<KillTotals> KillTotals::parse(std::string_view text) {
  KillTotals out;
  size_t lines = 0;
  bool valid = true, whole = false;
  for_each_line(text, [&](std::string_view line) {
    if (lines++ == 0) {
      valid = line == kFirst;
      return;
    }
    whole = line == kEnd;
    if (whole || !valid) return;
    const auto id = ContainerId::parse(std::string(take_word(line)));
    const auto kills = parse_u64(take_word(line));
    const auto sequence = parse_u64(line);
    valid = id && kills && sequence && out.entries.size() < kMaxEntries;
    if (valid) out.entries[*id] = {*kills, *sequence};
  });
  return valid && whole ? std::optional<KillTotals>(std::move(out)) : std::nullopt;
}

KillTotals KillTotals::load(const std::string& path) {
  const auto found = read_file(AT_FDCWD, path);
  if (!found) return {};
  return parse(found.value()).value_or(KillTotals{});
}

Result<bool> KillTotals::save(const std::string& path) const {
  const std::string made = path + ".new";
  const std::string content = text();
  const Fd file(::open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return Error{errno, made};
  const ssize_t n = ::write(file.get(), content.data(), content.size());
  if (n < 0) return Error{errno, made};
  if (static_cast<size_t>(n) != content.size()) return Error{ENOSPC, made};
  if (::rename(made.c_str(), path.c_str()) != 0) return Error{errno, path};
  return true;
}

}  // namespace vprocfs
