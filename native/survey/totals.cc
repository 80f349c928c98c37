#include "survey/totals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/words.h"
#include "source/parse.h"
#include "source/read_file.h"

namespace vprocfs {
namespace {

/// The most containers that are kept, as many as a survey has at most.
constexpr size_t kMaxEntries = 10000;
constexpr std::string_view kEnd = "end";

constexpr std::string_view version_of(const CountedKills&) { return "vprocfs-kills 1"; }
constexpr std::string_view version_of(const KeptCounters&) { return "vprocfs-counters 1"; }

// In the order of a line.
std::vector<uint64_t*> numbers_of(CountedKills& of) { return {&of.kills, &of.sequence}; }
std::vector<uint64_t*> numbers_of(KeptCounters& of) {
  return {&of.start_us,        &of.above_us,           &of.read_bytes.seen,
          &of.read_bytes.lost, &of.written_bytes.seen, &of.written_bytes.lost};
}

template <typename Counts>
bool parse(std::string_view text, std::map<ContainerId, Counts>& entries) {
  size_t lines = 0;
  bool valid = true, whole = false;
  for_each_line(text, [&](std::string_view line) {
    if (lines++ == 0) {
      valid = line == version_of(Counts());
      return;
    }
    whole = line == kEnd;
    if (whole || !valid) return;
    const auto id = ContainerId::parse(std::string(take_word(line)));
    valid = id && lines <= kMaxEntries + 1;
    if (!valid) return;
    for (uint64_t* number : numbers_of(entries[*id])) {
      const auto found = parse_u64(take_word(line));
      valid = valid && found;
      *number = found.value_or(0);
    }
    valid = valid && line.empty();
  });
  return valid && whole;
}

}  // namespace

template <typename Counts>
std::string Totals<Counts>::text() const {
  std::string out(version_of(Counts()));
  for (auto [id, counts] : entries) {
    out.append("\n").append(id.name());
    for (const uint64_t* number : numbers_of(counts)) out += " " + std::to_string(*number);
  }
  return out.append("\n").append(kEnd).append("\n");
}

template <typename Counts>
Totals<Counts> Totals<Counts>::load(const std::string& path) {
  Totals out;
  const auto found = read_file(AT_FDCWD, path);
  if (!found || !parse(found.value(), out.entries)) return {};
  return out;
}

template struct Totals<CountedKills>;
template struct Totals<KeptCounters>;

bool count_kill(KillTotals& totals, ContainerId id, uint64_t sequence) {
  const auto [entry, is_new] = totals.entries.try_emplace(id);
  if (!is_new && sequence <= entry->second.sequence) return false;
  ++entry->second.kills;
  entry->second.sequence = sequence;
  return true;
}

Result<bool> save_totals(const std::string& path, const std::string& text) {
  const std::string made = path + ".new";
  const Fd file(::open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return Error{errno, made};
  const ssize_t n = ::write(file.get(), text.data(), text.size());
  if (n < 0) return Error{errno, made};
  if (static_cast<size_t>(n) != text.size()) return Error{ENOSPC, made};
  if (::rename(made.c_str(), path.c_str()) != 0) return Error{errno, path};
  return true;
}

}  // namespace vprocfs
