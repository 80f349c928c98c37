#include "klog/plain_line.h"

#include <cctype>
#include <string_view>

#include "klog/shape_words.h"

namespace vprocfs {
namespace {

/// Whether a text has a number that may be an address.
bool has_address(std::string_view text) {
  constexpr size_t kShortest = 8;
  size_t run = 0;
  for (const char c : text) {
    run = kHex.find(c) != kHex.npos ? run + 1 : 0;
    if (run >= kShortest) return true;
  }
  return false;
}

/// "br0: port 2(veth1) entered blocking state", "veth1 (unregistering): left promiscuous mode": the
/// bridge and the end of the pair that is not the container's have names of the host.
bool is_of_other_end(std::string_view text) {
  const size_t port = text.find(": port ");
  return text.find("(unregistering)") != text.npos ||
         (port != text.npos && text.find("state", port) != text.npos);
}

/// "net_ratelimit: 42 callbacks suppressed": the next task prints the count of all tasks.
bool counts_others(std::string_view text) { return ends_with(text, " callbacks suppressed"); }

/// Whether `before` ends with `word`, apart from blanks, "=" and ":" after it.
bool follows(std::string_view before, std::string_view word) {
  while (!before.empty() &&
         (before.back() == ' ' || before.back() == '=' || before.back() == ':')) {
    before.remove_suffix(1);
  }
  if (before.size() < word.size()) return false;
  before.remove_prefix(before.size() - word.size());
  for (size_t i = 0; i < word.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(before[i])) != word[i]) return false;
  }
  return true;
}

/// Whether a number stands where the kernel writes PIDs: "NAME[42]", "NAME (42)", "pid=42".
bool is_pid(std::string_view before, std::string_view after) {
  const char open = before.empty() ? ' ' : before.back();
  const char close = after.empty() ? ' ' : after.front();
  return (open == '[' && close == ']') || (open == '(' && close == ')') || follows(before, "pid") ||
         follows(before, "process");
}

}  // namespace

std::optional<LogLine> plain_line(const LogRecord& record, pid_t task) {
  const std::string_view text = record.text;
  if (record.facility != 0 || task == 0) return std::nullopt;
  for (const std::string_view start :
       {" ", "Call Trace", "RIP:", "Code:", "RSP:", "Modules linked in", "Hardware name"}) {
    if (starts_with(text, start)) return std::nullopt;
  }
  if (has_address(text) || text.find("CPU") != text.npos) return std::nullopt;
  if (is_of_other_end(text) || counts_others(text)) return std::nullopt;
  LogLine line(record.sequence, record.time_us, record.level);
  const auto own = static_cast<uint64_t>(task);
  size_t done = 0;
  for (size_t at = text.find_first_of(kDigits); at != text.npos;) {
    const size_t end = std::min(text.find_first_not_of(kDigits, at), text.size());
    const auto number = parse_u64(text.substr(at, end - at));
    if (number && (*number == own || is_pid(text.substr(0, at), text.substr(end)))) {
      line.text(text.substr(done, at - done)).pid(*number);
      done = end;
    }
    at = text.find_first_of(kDigits, end);
  }
  line.text(text.substr(done));
  return line;
}

}  // namespace vprocfs
