#include "survey/totals.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
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

// At the end of the line of a container that was moved, and of no other.
std::vector<uint64_t*> moved_numbers_of(CountedKills&) { return {}; }
std::vector<uint64_t*> moved_numbers_of(KeptCounters& of) {
  std::vector<uint64_t*> numbers;
  const auto add = [&numbers](MovedCounter& counter) {
    numbers.push_back(&counter.before);
    numbers.push_back(&counter.first);
  };
  for (MovedCounter& counter : of.cpu) add(counter);
  for (MovedCounter& counter : of.counts) add(counter);
  return numbers;
}

bool is_any(const std::vector<uint64_t*>& numbers) {
  return std::any_of(numbers.begin(), numbers.end(), [](const uint64_t* n) { return *n != 0; });
}

/// False unless `line` begins with as many numbers.
bool take(const std::vector<uint64_t*>& numbers, std::string_view& line) {
  for (uint64_t* number : numbers) {
    const auto found = parse_u64(take_word(line));
    if (!found) return false;
    *number = *found;
  }
  return true;
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
    Counts& counts = entries[*id];
    valid = take(numbers_of(counts), line) &&
            (line.empty() || take(moved_numbers_of(counts), line)) && line.empty();
  });
  return valid && whole;
}

}  // namespace

template <typename Counts>
std::string Totals<Counts>::text() const {
  std::string out(version_of(Counts()));
  for (auto [id, counts] : entries) {
    out.append("\n").append(id.name());
    const auto add = [&out](const std::vector<uint64_t*>& numbers) {
      for (const uint64_t* number : numbers) out += " " + std::to_string(*number);
    };
    add(numbers_of(counts));
    if (const auto moved = moved_numbers_of(counts); is_any(moved)) add(moved);
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
