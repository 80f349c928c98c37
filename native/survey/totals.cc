#include "survey/totals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
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

using Numbers = std::vector<uint64_t*>;

// In the order of a line.
Numbers numbers_of(CountedKills& of) { return {&of.kills, &of.sequence}; }
Numbers numbers_of(KeptCounters& of) {
  return {&of.start_us,        &of.above_us,           &of.read_bytes.seen,
          &of.read_bytes.lost, &of.written_bytes.seen, &of.written_bytes.lost};
}

/// Of the counters from `begin` to before `end`.
template <size_t N>
Numbers numbers_of(std::array<MovedCounter, N>& counters, size_t begin, size_t end) {
  Numbers numbers;
  for (size_t i = begin; i < end; ++i) {
    numbers.push_back(&counters[i].before);
    numbers.push_back(&counters[i].first);
  }
  return numbers;
}

// At the end of the line of a container of which any counter goes on, and of no other. The line may
// end before each of them.
std::vector<Numbers> later_numbers_of(CountedKills&) { return {}; }
std::vector<Numbers> later_numbers_of(KeptCounters& of) {
  return {numbers_of(of.cpu, 0, kCpuKinds), numbers_of(of.counts, 0, kFirstCounts),
          numbers_of(of.counts, kFirstCounts, kCgroupCounts)};
}

bool go_on(const CountedKills&) { return false; }
bool go_on(const KeptCounters& of) { return of.go_on(); }

/// False unless `line` begins with as many numbers.
bool take(const Numbers& numbers, std::string_view& line) {
  for (uint64_t* number : numbers) {
    const auto found = parse_u64(take_word(line));
    if (!found) return false;
    *number = *found;
  }
  return true;
}

template <typename Counts>
std::optional<Counts> parse_counts(std::string_view line) {
  Counts counts;
  if (!take(numbers_of(counts), line)) return std::nullopt;
  for (const Numbers& numbers : later_numbers_of(counts)) {
    if (!line.empty() && !take(numbers, line)) return std::nullopt;
  }
  return line.empty() ? std::optional(counts) : std::nullopt;
}

/// Lines that are not understood are left out.
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
    valid = lines <= kMaxEntries + 1;
    const auto id = ContainerId::parse(std::string(take_word(line)));
    const auto counts = parse_counts<Counts>(line);
    if (id && counts) entries[*id] = *counts;
  });
  return valid && whole;
}

}  // namespace

template <typename Counts>
std::string Totals<Counts>::text() const {
  std::string out(version_of(Counts()));
  for (auto [id, counts] : entries) {
    out.append("\n").append(id.name());
    const auto add = [&out](const Numbers& numbers) {
      for (const uint64_t* number : numbers) out += " " + std::to_string(*number);
    };
    add(numbers_of(counts));
    if (!go_on(counts)) continue;
    for (const Numbers& numbers : later_numbers_of(counts)) add(numbers);
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
